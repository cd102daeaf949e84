// Concat and Pad: arrays that are written part by part.
#include <algorithm>
#include <cstring>

#include "lower/lowering.h"

namespace lathe {
namespace {

std::vector<int64_t> image_order(const Shape& shape) {
  return shape.size() == 4 ? channels_last_order(4) : plain_order(shape.size());
}

}  // namespace

bool lower_concat(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  ValueId value = node.outputs[0];
  const auto shape = lowering.shape(value);
  if (!shape || element_count(*shape) == 0) return false;
  for (const ValueId input : node.inputs)
    if (!input.valid() || !lowering.shape(input)) return false;
  const size_t axis = normal_axis(node.attributes.required_int("axis"), shape->size());
  std::vector<NodeId> nodes{id};
  // As integers when all inputs are: with the parameters of the QuantizeLinear behind, or those
  // that all inputs have.
  bool integers = lowering.is_float(value) &&
                  std::all_of(node.inputs.begin(), node.inputs.end(),
                              [&](ValueId input) { return lowering.integers(input).valid(); });
  std::optional<ScaleZeroPoint> params;
  if (integers) {
    if (const auto output = lowering.roots.root_behind(lowering.graph, value)) {
      value = output->integers;
      params = lowering.roots.quantized(value)->params;
      nodes.push_back(output->quantize);
    } else {
      params = params_of(lowering.build.view(lowering.integers(node.inputs[0])));
      integers = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
        return params_of(lowering.build.view(lowering.integers(input))) == *params;
      });
    }
  }
  std::vector<ViewId> parts;
  for (const ValueId input : node.inputs) {
    ViewId part =
        integers ? lowering.requantized(lowering.integers(input), *params) : lowering.real(input);
    parts.push_back(part);
  }
  if (!integers) params.reset();
  PlanBuilder& build = lowering.build;
  const ViewId whole = lowering.add_output(value, *shape, image_order(*shape), params,
                                           lowering.graph.value(node.outputs[0]).type.dtype);
  int64_t start = 0;
  for (const ViewId part : parts) {
    const int64_t count = build.view(part).shape[axis];
    if (count == 0) continue;
    lowering.add_step(nodes, CopyStep{part, build.sliced(whole, axis, start, 1, count)});
    start += count;
  }
  return true;
}

bool lower_pad(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  const auto shape = lowering.shape(node.outputs[0]);
  const auto from_shape = lowering.shape(node.input(0));
  auto pads = lowering.constant_ints(node.input(1));
  if (!shape || !from_shape || !pads || element_count(*shape) == 0 ||
      element_count(*from_shape) == 0 ||
      node.attributes.string_or("mode", "constant") != "constant" || node.input(3).valid() ||
      pads->size() != 2 * shape->size() || !lowering.is_float(node.input(0)))
    return false;
  float fill = 0;
  if (node.input(2).valid()) {
    const Tensor value = constant_floats(lowering.graph, node.input(2));
    if (!value.defined() || value.numel() != 1) return false;
    fill = value.values<float>()[0];
  }
  const size_t rank = shape->size();
  const ViewId integers = lowering.integers(node.input(0));
  const bool quantized = integers.valid() && fill == 0;
  const ViewId from = quantized ? integers : lowering.real(node.input(0));
  PlanBuilder& build = lowering.build;
  const PlanView source = build.view(from);
  const ViewId whole = build.add_array(lowering.graph.value(node.outputs[0]).name, source.dtype,
                                       *shape, memory_order(source));
  build.set_params(whole, params_of(source));
  FillStep step{whole, 0};
  if (quantized)
    step.value = static_cast<uint64_t>(source.zero_point);
  else
    std::memcpy(&step.value, &fill, sizeof fill);
  lowering.add_step({id}, step);
  ViewId inner_from = from;
  ViewId inner_to = whole;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t begin = (*pads)[i];
    const int64_t skipped = std::max<int64_t>(-begin, 0);
    const int64_t cut = std::max<int64_t>(-(*pads)[rank + i], 0);
    const int64_t count = (*from_shape)[i] - skipped - cut;
    if (count <= 0) return false;
    inner_from = build.sliced(inner_from, i, skipped, 1, count);
    inner_to = build.sliced(inner_to, i, std::max<int64_t>(begin, 0), 1, count);
  }
  lowering.add_step({id}, CopyStep{inner_from, inner_to});
  lowering.set(node.outputs[0], whole, quantized);
  return true;
}

}  // namespace lathe
