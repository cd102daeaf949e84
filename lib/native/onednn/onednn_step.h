// A oneDNN primitive as a step.
#pragma once

#include <dnnl.hpp>
#include <functional>
#include <string>
#include <vector>

#include "program/bound_step.h"

namespace lathe {

/// The process' CPU engine.
const dnnl::engine& onednn_engine();

/// A view as oneDNN describes a factor of a product, with leading dimensions of 1 up to `rank`.
dnnl::memory::desc onednn_desc(const PlanView& view, size_t rank);

/// Constant weights, described by `from`, in the layout `to`: made once for all programs that share
/// `context.packed`, which own the memory.
dnnl::memory packed_weights(const dnnl::memory::desc& from, ViewId weights,
                            const dnnl::memory::desc& to, const BindContext& context);

/// An image whose channels lie side by side: dimensions of 1 get the strides that oneDNN's layouts
/// have there.
dnnl::memory::desc onednn_image(const PlanView& view,
                                dnnl::memory::data_type type = dnnl::memory::data_type::f32);
/// The image without gaps.
PlanView dense_image(const PlanView& view);

/// Moves `desc` from the first implementation to the one of this name ("": it stays). False: there
/// is none of that name, or it is oneDNN's reference. The operation that `desc` was made of must
/// still be there.
bool select_implementation(dnnl::primitive_desc& desc, std::string_view name);

/// Names of the first implementation and those behind it, but for oneDNN's reference. Leaves `desc`
/// at the last; the operation as above.
std::vector<std::string> implementation_names(dnnl::primitive_desc& desc);

/// What to do with the implementations of a step while its operation is there. False: there is
/// none to take.
using PickImplementation = std::function<bool(dnnl::primitive_desc& first)>;

/// Makes a primitive; nothing else in the engine does. Throws std::bad_alloc where the memory that
/// this may take cannot be had, as oneDNN would end the process.
dnnl::primitive make_primitive(const dnnl::primitive_desc_base& desc);

class OnednnStep : public BoundStep {
 public:
  /// `threads`: as many as OpenMP starts when the step is made.
  OnednnStep(const dnnl::primitive_desc_base& desc, int threads);

  void add(int argument, const dnnl::memory::desc& desc, ViewAddress address,
           const BindContext& context, bool fixed);
  /// Memory of the step's own (packed weights).
  void add(int argument, dnnl::memory memory);

  void run(const ProgramMemory& memory) override;
  std::string_view implementation() const override { return implementation_; }
  bool uses_pool() const override { return true; }
  size_t scratch_bytes() const override { return scratch_desc_.get_size(); }
  void set_scratch(std::byte* bytes) override;

 private:
  struct Moving {
    size_t argument = 0;
    ViewAddress address;
  };
  dnnl::primitive primitive_;
  dnnl::stream stream_;
  std::string implementation_;
  dnnl::memory::desc scratch_desc_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
  std::vector<Moving> moving_;
  int threads_;
};

}  // namespace lathe
