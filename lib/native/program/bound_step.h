// One step of a program with everything that can be known before it runs.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "plan/packed_weights.h"
#include "plan/plan.h"

namespace lathe {

/// Addresses of a plan's blocks. Those of inputs and outputs change from run to run.
struct ProgramMemory {
  std::vector<std::byte*> blocks;
};

/// A view's first element.
struct ViewAddress {
  int32_t block = -1;
  int64_t bytes = 0;
  std::byte* in(const ProgramMemory& memory) const {
    return memory.blocks[static_cast<size_t>(block)] + bytes;
  }
  bool valid() const { return block >= 0; }
};

class BoundStep {
 public:
  virtual ~BoundStep() = default;
  /// Never throws, fallback partitions excepted.
  virtual void run(const ProgramMemory& memory) = 0;
  virtual std::string_view implementation() const { return "lathe"; }
  /// It divides its work among the pool's threads by other means than parallel_for.
  virtual bool uses_pool() const { return false; }
  /// Scratch memory that the step wants while it runs; shared by all steps of a program.
  virtual size_t scratch_bytes() const { return 0; }
  virtual void set_scratch(std::byte*) {}
};

/// What a step needs to be bound.
struct BindContext {
  const NativePlan& plan;
  const ProgramMemory& memory;  // constants and arena are there
  int threads = 1;
  KernelIsa isa = KernelIsa::kScalar;
  bool onednn_products = false;  // where it has a kernel for an integer product
  PackedWeights& packed;
  /// The one that is wanted: StepChoice::implementation.
  std::string_view implementation;

  const PlanView& view(ViewId id) const { return plan.views[static_cast<size_t>(id.index)]; }
  ViewAddress address(ViewId id) const;
  /// The address stays the same for all runs.
  bool is_fixed(ViewId id) const;
  template <class T>
  const T* constant(ViewId id) const {
    return reinterpret_cast<const T*>(address(id).in(memory));
  }
  /// Names weights among the constants.
  PackedKey packed_key(ViewId weights, int64_t part, std::string layout) const;
};

/// How the names of lathe's own products begin; alone they mean the machine's best.
constexpr std::string_view kOwnProduct = "product:";
constexpr std::string_view kOwnDepthwise = "depthwise:";

/// One function per kind of step.
std::unique_ptr<BoundStep> bind_product(const ProductStep& step, const BindContext& context);
/// Null where oneDNN has none with exact sums, or not the implementation that is wanted.
std::unique_ptr<BoundStep> bind_onednn_product(const ProductStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_onednn_depthwise(const DepthwiseStep& step,
                                                 const BindContext& context);
std::unique_ptr<BoundStep> bind_depthwise(const DepthwiseStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_float_matmul(const FloatMatMulStep& step,
                                             const BindContext& context);
std::unique_ptr<BoundStep> bind_elementwise(const ElementwiseProgramStep& step,
                                            const BindContext& context);
std::unique_ptr<BoundStep> bind_lookup(const LookupStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_convert(const ConvertStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_copy(const CopyStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_cast(const CastStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_gather(const GatherStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_fill(const FillStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_pool(const PoolStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_softmax(const SoftmaxStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_layer_norm(const LayerNormStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_reduce(const ReduceStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_resize(const ResizeStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_recurrent(const RecurrentStep& step, const BindContext& context);
std::unique_ptr<BoundStep> bind_dynamic_quantize(const DynamicQuantizeStep& step,
                                                 const BindContext& context);
std::unique_ptr<BoundStep> bind_integer_matmul(const IntegerMatMulStep& step,
                                               const BindContext& context);

/// Names of oneDNN's implementations of a step, but for its reference and those whose integer sums
/// saturate. Float products throw what binding throws.
std::vector<std::string> onednn_implementations(const ProductStep& step,
                                                const BindContext& context);
std::vector<std::string> onednn_implementations(const DepthwiseStep& step,
                                                const BindContext& context);
std::vector<std::string> onednn_implementations(const FloatConvStep& step,
                                                const BindContext& context);
std::vector<std::string> onednn_implementations(const FloatMatMulStep& step,
                                                const BindContext& context);

}  // namespace lathe
