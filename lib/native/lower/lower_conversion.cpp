// QuantizeLinear, DequantizeLinear and Cast.
#include <algorithm>

#include "kernels/cast.h"
#include "lower/lowering.h"

namespace lathe {
namespace {

/// DequantizeLinear of integers that no QuantizeLinear made: an input of the graph, a row of a
/// table.
bool dequantize(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const ValueId input = node.input(0);
  const DType type = graph.value(input).type.dtype;
  const auto params = uint8_params(graph, node);
  if (!params || !lowering.is_float(node.outputs[0]) || !lowering.shape(input)) return false;
  PlanBuilder& build = lowering.build;
  ViewId q = lowering.integers(input);
  if (!q.valid() && type == DType::kUInt8) q = lowering.real(input);
  if (!q.valid()) q = lowering.shifted(lowering.real(input), DType::kUInt8);
  lowering.set_integers(node.outputs[0], build.quantized_as(q, *params));
  lowering.finish(id);
  return true;
}

/// Rows of an embedding table: a scale for each place of one axis, zero points 0.
bool dequantize_by_channel(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const ValueId input = node.input(0);
  const DType type = graph.value(input).type.dtype;
  const Tensor* scales = graph.constant(node.input(1));
  const auto shape = lowering.shape(input);
  if ((type != DType::kInt8 && type != DType::kUInt8) || !shape || shape->empty() ||
      scales == nullptr || scales->dtype() != DType::kFloat32 || scales->rank() != 1 ||
      !lowering.is_float(node.outputs[0]) || node.attributes.int_or("block_size", 0) != 0)
    return false;
  if (node.input(2).valid()) {
    const Tensor* zeros = graph.constant(node.input(2));
    if (zeros == nullptr ||
        std::ranges::any_of(zeros->bytes(), [](std::byte b) { return b != std::byte{0}; }))
      return false;
  }
  Shape along(shape->size(), 1);
  along[normal_axis(node.attributes.int_or("axis", 1), shape->size())] = scales->numel();
  PlanBuilder& build = lowering.build;
  const ViewId numbers = build.quantized_as(lowering.real(input), {1, 0});
  const ViewId factors = build.add_constant(
      node.name,
      Tensor::from_bytes(DType::kFloat32, along, {scales->bytes().begin(), scales->bytes().end()}));
  ElementwiseProgramStep step;
  step.inputs = {numbers, build.expanded(factors, *shape)};
  step.program = {{ElementwiseKind::kMul, 0, 1}};
  step.output = lowering.add_output(node.outputs[0], *shape, memory_order(build.view(numbers)));
  lowering.add_step({id}, std::move(step));
  return true;
}

}  // namespace

bool lower_quantize(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  if (node.kind == OpKind::kDequantizeLinear) {
    // Nothing runs: readers take the integers, or ask for floats. Constants become floats too.
    return is_constant_floats(graph, node.outputs[0]) ||
           (lowering.is_float(node.outputs[0]) && lowering.integers(node.outputs[0]).valid()) ||
           dequantize(lowering, id) || dequantize_by_channel(lowering, id);
  }
  const ValueId output = node.outputs[0];
  const auto& quantized = lowering.roots.quantized(output);
  if (!quantized || !lowering.shape(output)) return false;
  // What only moved elements has integers already.
  if (const ViewId integers = lowering.integers(node.input(0)); integers.valid()) {
    lowering.set_integers(output, lowering.requantized(integers, quantized->params));
    return true;
  }
  const ViewId from = lowering.real(node.input(0));
  const PlanView source = lowering.build.view(from);
  // The order of an image's dimensions is that of products; other arrays keep theirs.
  const ViewId to = lowering.add_output(
      output, source.shape,
      source.shape.size() == 4 ? channels_last_order(4) : memory_order(source), quantized->params);
  lowering.add_step({id}, ConvertStep{from, to});
  return true;
}

bool lower_cast(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const ValueId input = node.input(0);
  const DType from = graph.value(input).type.dtype;
  const DType type = graph.value(node.outputs[0]).type.dtype;
  const auto shape = lowering.shape(input);
  if (!shape || !lowering.shape(node.outputs[0])) return false;
  PlanBuilder& build = lowering.build;
  // What products leave may have any strides.
  if (type != DType::kFloat32 ||
      (from != DType::kInt32 && from != DType::kUInt8 && from != DType::kInt8)) {
    if (!can_cast(from, type)) return false;
    const ViewId numbers = lowering.dense(input);
    const ViewId cast =
        lowering.add_output(node.outputs[0], *shape, plain_order(shape->size()), {}, type);
    lowering.add_step({id}, CastStep{numbers, cast});
    return true;
  }
  const ViewId numbers = build.quantized_as(lowering.real(input), {1, 0});
  const PlanView view = build.view(numbers);
  const ViewId to = lowering.add_output(node.outputs[0], view.shape, memory_order(view));
  lowering.add_step({id}, ConvertStep{numbers, to});
  return true;
}

}  // namespace lathe
