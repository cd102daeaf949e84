#include "prune/repair_layer.h"

namespace lathe {
namespace {

const Tensor* floats(const Graph& graph, ValueId id) {
  const Tensor* tensor = id.valid() ? graph.constant(id) : nullptr;
  return tensor != nullptr && tensor->dtype() == DType::kFloat32 ? tensor : nullptr;
}

std::optional<RepairLayer> batch_norm_layer(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  for (size_t i = 1; i < 5; ++i)
    if (floats(graph, node.input(i)) == nullptr) return std::nullopt;
  RepairLayer layer;
  layer.node = id;
  layer.input = node.input(0);
  layer.outputs = graph.constant(node.input(3))->numel();
  layer.method = RepairMethod::kStatistics;
  return layer;
}

RepairLayer lstm_layer(const Graph& graph, NodeId id, bool masked) {
  const Node& node = graph.node(id);
  RepairLayer layer;
  layer.node = id;
  layer.input = node.input(0);
  layer.weight = node.input(1);
  layer.recurrent = true;
  layer.note = "its form is not supported";
  const Tensor* w = floats(graph, node.input(1));
  const Tensor* r = floats(graph, node.input(2));
  const Tensor* b = floats(graph, node.input(3));
  if (w == nullptr || r == nullptr || w->rank() != 3 || r->rank() != 3 || node.input(4).valid() ||
      node.input(7).valid() || (node.input(3).valid() && b == nullptr) ||
      node.attributes.int_or("layout", 0) != 0 || graph.value(node.inputs[1]).users.size() > 1 ||
      graph.value(node.inputs[2]).users.size() > 1)
    return layer;
  layer.groups = r->shape()[0];
  layer.outputs = r->shape()[2];
  layer.inputs = w->shape()[2] + layer.outputs;
  const Shape gates = {layer.groups, 4 * layer.outputs, layer.inputs - layer.outputs};
  const Shape biases = {layer.groups, 8 * layer.outputs};
  if (w->shape() != gates || r->shape() != Shape{gates[0], gates[1], layer.outputs} ||
      (b != nullptr && b->shape() != biases) || too_many_unknowns(layer))
    return layer;
  layer.note = masked ? "zeros inside its weights stay" : "";
  if (!masked) layer.method = RepairMethod::kLeastSquares;
  return layer;
}

}  // namespace

std::optional<RepairLayer> repair_layer(const Graph& graph, NodeId id, bool masked) {
  const Node& node = graph.node(id);
  if (node.kind == OpKind::kBatchNormalization) return batch_norm_layer(graph, id);
  if (node.kind == OpKind::kLSTM) return lstm_layer(graph, id, masked);
  const std::optional<LinearLayer> linear = linear_layer(graph, id);
  if (!linear) return std::nullopt;
  RepairLayer layer{*linear, RepairMethod::kNone, false, {}};
  if (!layer.supported) {
    layer.note = "its form is not supported";
    return layer;
  }
  layer.method = RepairMethod::kLeastSquares;
  if (node.kind == OpKind::kConvTranspose) {
    layer.note = "transposed: its bias only";
  } else if (too_many_unknowns(layer)) {
    layer.note = "too many inputs: its bias only";
  } else if (graph.value(layer.weight).users.size() > 1) {
    layer.note = "shares its weights with another layer: its bias only";
  } else if (masked) {
    layer.note = "zeros inside its weights stay: its bias only";
  } else {
    return layer;
  }
  layer.method = layer.bias_node.valid() ? RepairMethod::kBias : RepairMethod::kNone;
  return layer;
}

}  // namespace lathe
