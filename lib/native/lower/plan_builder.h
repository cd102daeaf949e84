// Adds blocks, views and steps to a plan. Views of views (transposed, sliced, …) cost nothing.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/quantization.h"
#include "ir/tensor.h"
#include "plan/plan.h"

namespace lathe {

class PlanBuilder {
 public:
  /// `slack`: whether kernels may read some bytes beyond arrays of bytes in the arena.
  explicit PlanBuilder(bool slack) : slack_(slack) {}

  const PlanView& view(ViewId id) const { return plan_.views.at(static_cast<size_t>(id.index)); }
  PlanView& edit(ViewId id) { return plan_.views.at(static_cast<size_t>(id.index)); }
  const PlanBlock& block_of(ViewId id) const {
    return plan_.blocks.at(static_cast<size_t>(view(id).block));
  }

  /// A new array without gaps in the arena; dimensions lie in memory in `order`, outermost first.
  ViewId add_array(std::string name, DType dtype, Shape shape, const std::vector<int64_t>& order);
  /// In the order of the dimensions, without gaps.
  ViewId add_dense(std::string name, DType dtype, Shape shape);
  /// The caller's memory; without gaps.
  ViewId add_external(std::string name, BlockPlace place, int64_t index, DType dtype, Shape shape);
  /// Equal constants share their bytes.
  ViewId add_constant(std::string name, const Tensor& tensor);
  ViewId add_constant(std::string name, const std::vector<float>& values);

  /// The same memory, seen otherwise.
  ViewId add_view(PlanView view);
  ViewId transposed(ViewId id, const std::vector<int64_t>& permutation);
  /// Every `step`-th element of `axis` from `start` on, `count` of them; `step` may be negative.
  ViewId sliced(ViewId id, size_t axis, int64_t start, int64_t step, int64_t count);
  /// Broadcast to `shape` (of no lower rank): strides of 0.
  ViewId expanded(ViewId id, const Shape& shape);
  /// Another shape of as many elements; invalid when the strides do not allow it.
  ViewId reshaped(ViewId id, const Shape& shape);
  /// With the parameters of a quantized value.
  ViewId quantized_as(ViewId id, const ScaleZeroPoint& params);
  void set_params(ViewId id, const ScaleZeroPoint& params);

  void add_step(std::vector<std::string> nodes, int32_t node, StepKind kind);

  NativePlan& plan() { return plan_; }

 private:
  int32_t add_block(PlanBlock block);

  bool slack_;
  NativePlan plan_;
  std::unordered_multimap<size_t, ViewId> constants_;  // by a hash of their bytes
};

inline ScaleZeroPoint params_of(const PlanView& view) { return {view.scale, view.zero_point}; }

/// Order of dimensions with the channels (axis 1) innermost: 0, 2, …, 1.
std::vector<int64_t> channels_last_order(size_t rank);
/// 0, 1, 2, …
std::vector<int64_t> plain_order(size_t rank);
/// Dimensions by falling stride: how a view lies in memory.
std::vector<int64_t> memory_order(const PlanView& view);

}  // namespace lathe
