// MaxPool, AveragePool and the global pools.
#include <algorithm>

#include "evaluate/window.h"
#include "ir/error.h"
#include "lower/lowering.h"

namespace lathe {
namespace {

constexpr int64_t kMostTaps = 65536;  // kernels/pool.h

/// Where a quantized average goes.
struct Target {
  ValueId value;
  std::optional<ScaleZeroPoint> params;
  std::vector<NodeId> nodes;
};

Target target_of(const Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  Target target{graph.node(id).outputs[0], std::nullopt, {id}};
  const auto tail = lowering.roots.root_behind(graph, target.value);
  if (!tail) return target;
  return {tail->integers, lowering.roots.quantized(tail->integers)->params, {id, tail->quantize}};
}

void add_pool(Lowering& lowering, const Target& target, ViewId input, const Shape& shape,
              PoolStep step) {
  const PlanView from = lowering.build.view(input);
  std::optional<ScaleZeroPoint> params;
  if (from.dtype == DType::kUInt8) params = target.params.value_or(params_of(from));
  step.input = input;
  step.output = lowering.add_output(target.value, shape, channels_last_order(shape.size()), params);
  lowering.add_step(target.nodes, std::move(step));
}

}  // namespace

bool lower_integer_mean(Lowering& lowering, NodeId id, std::vector<int64_t> axes) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const Shape from = *lowering.shape(node.input(0));
  std::ranges::sort(axes);
  const bool is_of_pixels = from.size() >= 3 && from.size() <= 4 &&
                            axes.size() == from.size() - 2 && axes.front() == 2 &&
                            axes.back() == static_cast<int64_t>(from.size()) - 1;
  const auto tail = lowering.roots.root_behind(graph, node.outputs[0]);
  if (!is_of_pixels || !tail || lowering.has_real(node.input(0)) ||
      !lowering.has_integers(node.input(0)) || element_count(from) == 0)
    return false;
  PoolStep step;
  step.average = step.is_global = step.is_mean = true;
  step.window.kernel_height = from.size() == 4 ? from[2] : 1;
  step.window.kernel_width = from.back();
  if (step.window.kernel_height * step.window.kernel_width > kMostTaps) return false;
  step.input = lowering.pixels_of(lowering.integers(node.input(0)));
  Shape kept{from[0], from[1], 1};
  kept.resize(from.size(), 1);
  PlanBuilder& build = lowering.build;
  const QuantizedArray& quantized = *lowering.roots.quantized(tail->integers);
  step.output = build.add_array(graph.value(tail->integers).name, DType::kUInt8, kept,
                                channels_last_order(kept.size()));
  build.set_params(step.output, quantized.params);
  build.edit(step.output).shift = quantized.type == DType::kInt8 ? 128 : 0;
  const ViewId result = build.reshaped(step.output, *lowering.shape(node.outputs[0]));
  if (!result.valid()) throw InternalError("lowering: one pixel that has no other shape");
  lowering.set_integers(tail->integers, result);
  lowering.add_step({id, tail->quantize}, std::move(step));
  return true;
}

bool lower_pool(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  const ValueId value = node.outputs[0];
  const auto from = lowering.shape(node.input(0));
  const auto shape = lowering.shape(value);
  if (!from || !shape || from->size() < 3 || from->size() > 4 || !lowering.is_float(value) ||
      node.output(1).valid() || element_count(*from) == 0)
    return false;
  PoolStep step;
  const bool global =
      node.kind == OpKind::kGlobalAveragePool || node.kind == OpKind::kGlobalMaxPool;
  step.is_global = global;
  step.average = node.kind == OpKind::kGlobalAveragePool || node.kind == OpKind::kAveragePool;
  const size_t rank = from->size() - 2;
  if (global) {
    step.window.kernel_height = rank == 2 ? (*from)[2] : 1;
    step.window.kernel_width = from->back();
    if (step.window.kernel_height * step.window.kernel_width > kMostTaps) return false;
  } else {
    const std::vector<int64_t> kernel = node.attributes.ints_or("kernel_shape", {});
    if (kernel.size() != rank) return false;
    const auto window = static_window(lowering.graph, node, kernel);
    if (!window) return false;
    int64_t taps = 1;
    for (const int64_t size : kernel) taps *= size;
    if (taps > kMostTaps) return false;
    const size_t last = rank - 1;
    step.window.kernel_width = kernel[last];
    step.window.stride_width = window->strides[last];
    step.window.dilation_width = window->dilations[last];
    step.window.pad_left = window->begin[last];
    step.pad_right = window->end[last];
    if (rank == 2) {
      step.window.kernel_height = kernel[0];
      step.window.stride_height = window->strides[0];
      step.window.dilation_height = window->dilations[0];
      step.window.pad_top = window->begin[0];
      step.pad_bottom = window->end[0];
    }
    step.include_padding = node.attributes.int_or("count_include_pad", 0) != 0;
  }
  const ViewId integers =
      lowering.has_real(node.input(0)) ? ViewId{} : lowering.integers(node.input(0));
  Target target{value, std::nullopt, {id}};
  if (integers.valid() && step.average) {
    target = target_of(lowering, id);
    // Not quantized again: the average of integers is a real number.
    if (!target.params) {
      add_pool(lowering, target, lowering.pixels_of(lowering.real(node.input(0))), *shape, step);
      return true;
    }
  }
  const ViewId input = integers.valid() ? integers : lowering.real(node.input(0));
  add_pool(lowering, target, lowering.pixels_of(input), *shape, step);
  return true;
}

}  // namespace lathe
