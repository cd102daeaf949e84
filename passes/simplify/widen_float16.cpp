#include "ir/error.h"
#include "ir/real_tensor.h"
#include "passes/passes.h"

namespace lathe {
namespace {

bool is_half(DType dtype) { return dtype == DType::kFloat16 || dtype == DType::kBFloat16; }

bool is_half(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  return type.is_tensor() && is_half(type.dtype);
}

Attributes cast_to(DType dtype) {
  Attributes attributes;
  attributes.set("to", static_cast<int64_t>(dtype));
  return attributes;
}

int widen_constants(Graph& graph) {
  int changes = 0;
  for (const ValueId id : graph.value_ids()) {
    const Tensor* tensor = graph.constant(id);
    if (tensor == nullptr || !is_half(tensor->dtype()) || graph.is_output(id)) continue;
    graph.set_constant(id, real_tensor(DType::kFloat32, tensor->shape(), tensor->to_double()));
    ++changes;
  }
  return changes;
}

// Attributes that choose an element type: Cast's `to`, others' `dtype`, `value` of ConstantOfShape.
int widen_attributes(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    Node& node = graph.edit(id);
    for (const char* name : {"to", "dtype"}) {
      const Attribute* found = node.attributes.find(name);
      const int64_t* dtype = found != nullptr ? std::get_if<int64_t>(found) : nullptr;
      if (dtype == nullptr || !is_half(static_cast<DType>(*dtype))) continue;
      node.attributes.set(name, static_cast<int64_t>(DType::kFloat32));
      ++changes;
    }
    if (const Tensor* value = node.kind == OpKind::kConstantOfShape ? node.attributes.tensor("value")
                                                                    : nullptr;
        value != nullptr && is_half(value->dtype())) {
      node.attributes.set("value", real_tensor(DType::kFloat32, value->shape(), value->to_double()));
      ++changes;
    }
  }
  return changes;
}

// A Cast behind every half-typed graph input and before every half-typed graph output.
int cast_at_border(Graph& graph) {
  int changes = 0;
  for (const ValueId id : std::vector<ValueId>(graph.inputs())) {
    if (!is_half(graph, id) || graph.value(id).users.empty()) continue;
    const ValueId widened = graph.add_value(graph.value(id).name + "_float32",
                                            tensor_type(DType::kFloat32, graph.value(id).type.dims));
    graph.replace_all_uses(id, widened);
    Node cast;
    cast.kind = OpKind::kCast;
    cast.inputs = {id};
    cast.outputs = {widened};
    cast.attributes = cast_to(DType::kFloat32);
    graph.add_node(std::move(cast));
    ++changes;
  }
  std::vector<ValueId> outputs = graph.outputs();
  for (ValueId& output : outputs) {
    if (!is_half(graph, output) || !graph.value(output).producer.valid()) continue;
    const ValueType declared = graph.value(output).type;
    const std::string name = graph.value(output).name;
    graph.rename(output, graph.fresh_name(name + "_float32"));
    graph.edit_type(output).dtype = DType::kFloat32;
    const ValueId narrowed = graph.add_op(OpKind::kCast, {output}, name, cast_to(declared.dtype));
    graph.edit_type(narrowed) = declared;
    output = narrowed;
    ++changes;
  }
  graph.set_outputs(outputs);
  return changes;
}

int widen_inside(Graph& graph) {
  int changes = widen_constants(graph) + widen_attributes(graph);
  for (const ValueId id : graph.value_ids()) {
    if (!is_half(graph, id)) continue;
    graph.edit_type(id).dtype = DType::kFloat32;
    ++changes;
  }
  // A body's own inputs and outputs are inner values of the model.
  for (const NodeId id : graph.node_ids())
    for (Subgraph& subgraph : graph.edit(id).subgraphs) changes += widen_inside(subgraph.graph());
  return changes;
}

}  // namespace

int widen_float16(Graph& graph) {
  // The border first: it is what keeps its type.
  int changes = cast_at_border(graph);
  std::vector<std::pair<ValueId, ValueType>> kept;
  for (const auto* border : {&graph.inputs(), &graph.outputs()})
    for (const ValueId id : *border) kept.emplace_back(id, graph.value(id).type);
  std::vector<NodeId> casts;
  for (const NodeId id : graph.node_ids())
    if (graph.node(id).kind == OpKind::kCast && graph.is_output(graph.node(id).outputs[0]))
      casts.push_back(id);
  changes += widen_inside(graph);
  for (const auto& [id, type] : kept) graph.edit_type(id) = type;
  for (const NodeId id : casts) {
    const DType declared = graph.value(graph.node(id).outputs[0]).type.dtype;
    if (is_half(declared)) graph.edit(id).attributes.set("to", static_cast<int64_t>(declared));
  }
  return changes;
}

}  // namespace lathe
