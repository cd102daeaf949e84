#include <algorithm>
#include <set>

#include "float16/float16_rules.h"
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
int widen_attributes(Graph& graph, const std::set<ValueId>& border) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    Node& node = graph.edit(id);
    // The Cast that makes a graph output is there to narrow.
    if (border.contains(node.output(0))) continue;
    for (const char* name : {"to", "dtype"}) {
      const Attribute* found = node.attributes.find(name);
      const int64_t* dtype = found != nullptr ? std::get_if<int64_t>(found) : nullptr;
      if (dtype == nullptr || !is_half(static_cast<DType>(*dtype))) continue;
      node.attributes.set(name, static_cast<int64_t>(DType::kFloat32));
      ++changes;
    }
    if (const Tensor* value =
            node.kind == OpKind::kConstantOfShape ? node.attributes.tensor("value") : nullptr;
        value != nullptr && is_half(value->dtype())) {
      node.attributes.set("value",
                          real_tensor(DType::kFloat32, value->shape(), value->to_double()));
      ++changes;
    }
  }
  return changes;
}

// Already in the resulting form: a float32 Cast is all that reads an input …
bool only_widened(const Graph& graph, ValueId id) {
  const auto& users = graph.value(id).users;
  return std::all_of(users.begin(), users.end(), [&](NodeId user) {
    const Node& node = graph.node(user);
    return node.kind == OpKind::kCast &&
           node.attributes.int_or("to", 0) == static_cast<int64_t>(DType::kFloat32);
  });
}

// … and a Cast from float32 makes an output.
bool is_narrowed(const Graph& graph, ValueId id) {
  const Node& node = graph.node(graph.value(id).producer);
  return node.kind == OpKind::kCast && graph.value(node.inputs[0]).type.dtype == DType::kFloat32;
}

// A Cast behind every half-typed graph input and before every half-typed graph output.
int cast_at_border(Graph& graph) {
  int changes = 0;
  for (const ValueId id : std::vector<ValueId>(graph.inputs())) {
    if (!is_half(graph, id) || graph.value(id).users.empty() || only_widened(graph, id)) continue;
    const ValueId widened = graph.add_value(
        graph.value(id).name + "_float32", tensor_type(DType::kFloat32, graph.value(id).type.dims));
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
    if (!is_half(graph, output) || !graph.value(output).producer.valid() ||
        is_narrowed(graph, output))
      continue;
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

// `border`: values whose type stays.
int widen_inside(Graph& graph, const std::set<ValueId>& border) {
  int changes = widen_constants(graph) + widen_attributes(graph, border);
  for (const ValueId id : graph.value_ids()) {
    if (!is_half(graph, id) || border.contains(id)) continue;
    graph.edit_type(id).dtype = DType::kFloat32;
    ++changes;
  }
  // A body's own inputs and outputs are inner values of the model.
  for (const NodeId id : graph.node_ids())
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += widen_inside(subgraph.graph(), {});
  return changes;
}

}  // namespace

int widen_float16(Graph& graph) {
  const int casts = cast_at_border(graph);
  std::set<ValueId> border(graph.inputs().begin(), graph.inputs().end());
  border.insert(graph.outputs().begin(), graph.outputs().end());
  return casts + widen_inside(graph, border);
}

}  // namespace lathe
