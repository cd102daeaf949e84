#include <algorithm>
#include <optional>

#include "graph/graph_passes.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

struct Table {
  ValueId integers, scale, zero_point;  // constants
  DType dtype = DType::kInt8;
  int64_t rank = 0;
  int64_t axis = -1;  // of the scales; -1: one for all
};

// Only of whole bytes: ONNX has no Gather of fewer bits.
std::optional<Table> table_of(const Graph& graph, ValueId value) {
  const Node* node = dequantizer(graph, value);
  if (node == nullptr || node->attributes.int_or("block_size", 0) != 0) return {};
  const Tensor* integers = graph.constant(node->input(0));
  const Tensor* scale = graph.constant(node->input(1));
  if (integers == nullptr || scale == nullptr || dtype_bits(integers->dtype()) < 8 ||
      scale->dtype() != DType::kFloat32 || graph.value(value).type.dtype != DType::kFloat32)
    return {};
  Table table{node->inputs[0], node->inputs[1], node->input(2), integers->dtype(),
              integers->rank()};
  if (table.zero_point.valid() && graph.constant(table.zero_point) == nullptr) return {};
  if (scale->rank() == 0) return table;
  table.axis = node->attributes.int_or("axis", 1);
  if (table.axis < 0) table.axis += table.rank;
  if (table.axis < 0 || table.axis >= table.rank || scale->rank() != 1) return {};
  return table;
}

bool are_zeros(const Graph& graph, ValueId zero_point) {
  return !zero_point.valid() || std::ranges::all_of(graph.constant(zero_point)->to_int64(),
                                                    [](int64_t z) { return z == 0; });
}

ValueId gather(Graph& graph, const Node& old, ValueId from, int64_t axis, const std::string& name,
               DType dtype, std::optional<Dims> dims) {
  Attributes attributes;
  attributes.set("axis", axis);
  const ValueId out = graph.add_op(OpKind::kGather, {from, old.inputs[1]}, graph.fresh_name(name),
                                   std::move(attributes), old.name);
  graph.edit_type(out) = tensor_type(dtype, std::move(dims));
  return out;
}

bool gather_at(Graph& graph, NodeId id) {
  const Node old = graph.node(id);
  if (old.kind != OpKind::kGather) return false;
  const auto table = table_of(graph, old.input(0));
  const auto index = graph.value(old.input(1)).type.dims;
  const std::vector<NodeId> readers = graph.value(old.input(0)).users;
  if (!table || !index || graph.is_output(old.inputs[0]) ||
      !std::ranges::all_of(readers,
                           [&](NodeId user) { return graph.node(user).kind == OpKind::kGather; }))
    return false;
  int64_t axis = old.attributes.int_or("axis", 0);
  if (axis < 0) axis += table->rank;
  const ValueId output = old.outputs[0];
  const ValueType type = graph.value(output).type;
  const std::string name = graph.value(output).name;
  const bool by_row = table->axis == axis;
  // Each row brings its scale along, and whoever reads it multiplies: nothing is rounded anew.
  if (by_row && !are_zeros(graph, table->zero_point)) return false;
  const ValueId integers =
      gather(graph, old, table->integers, axis, name + "_integers", table->dtype, type.dims);
  ValueId floats;
  if (by_row) {
    Shape shape(static_cast<size_t>(table->rank - axis), 1);
    const Tensor& scale = *graph.constant(table->scale);
    shape[0] = scale.numel();
    const ValueId column =
        graph.add_constant(graph.fresh_name(name + "_scales"), scale.reshaped(shape));
    Attributes first;
    first.set("axis", int64_t{0});
    const ValueId rows = graph.add_op(OpKind::kGather, {column, old.inputs[1]},
                                      graph.fresh_name(name + "_row_scales"), std::move(first),
                                      old.name + "_scales");
    graph.edit_type(rows) = tensor_type(DType::kFloat32);
    Attributes to;
    to.set("to", static_cast<int64_t>(DType::kFloat32));
    const ValueId wide = graph.add_op(OpKind::kCast, {integers}, graph.fresh_name(name + "_wide"),
                                      std::move(to), old.name + "_Cast");
    graph.edit_type(wide) = type;
    floats = graph.add_op(OpKind::kMul, {wide, rows}, graph.fresh_name(name + "_dequantized"), {},
                          old.name + "_Mul");
  } else {
    Attributes attributes;
    const auto more = static_cast<int64_t>(index->size()) - 1;
    if (table->axis >= 0) attributes.set("axis", table->axis + (table->axis > axis ? more : 0));
    std::vector<ValueId> inputs = {integers, table->scale};
    if (table->zero_point.valid()) inputs.push_back(table->zero_point);
    floats = graph.add_op(OpKind::kDequantizeLinear, std::move(inputs),
                          graph.fresh_name(name + "_dequantized"), std::move(attributes),
                          old.name + "_DequantizeLinear");
  }
  graph.edit_type(floats) = type;
  graph.replace_all_uses_keeping_output_name(output, floats);
  graph.erase_node(id);
  return true;
}

}  // namespace

int gather_integers(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    if (gather_at(graph, id)) {
      ++changes;
      continue;
    }
    for (Subgraph& body : graph.edit(id).subgraphs) changes += gather_integers(body.graph());
  }
  return changes;
}

}  // namespace lathe
