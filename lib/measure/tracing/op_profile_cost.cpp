#include "tracing/op_profile_cost.h"

#include <algorithm>
#include <limits>

#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

int64_t sum(int64_t a, int64_t b) {
  int64_t out = 0;
  return __builtin_add_overflow(a, b, &out) ? kMost : out;
}

int64_t bytes_of(const ValueType& type) {
  if (!type.is_tensor() || !type.dims) return 0;
  Shape shape;
  for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : 1);
  try {
    return dtype_bytes(type.dtype, element_count(shape));
  } catch (const Error&) {
    return kMost;
  }
}

bool is_small_integer(const Graph& graph, ValueId id) {
  if (!id.valid()) return false;
  const DType dtype = graph.value(id).type.dtype;
  return dtype == DType::kInt8 || dtype == DType::kUInt8;
}

}  // namespace

int64_t OpCost::bytes() const { return sum(sum(activation_bytes, parameter_bytes), output_bytes); }

OpCost op_cost(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  OpCost cost;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId input = node.inputs[i];
    if (!input.valid() ||
        std::find(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(i),
                  input) != node.inputs.begin() + static_cast<std::ptrdiff_t>(i))
      continue;
    int64_t& bytes =
        graph.constant(input) != nullptr ? cost.parameter_bytes : cost.activation_bytes;
    bytes = sum(bytes, bytes_of(graph.value(input).type));
  }
  for (const ValueId output : node.outputs)
    if (output.valid())
      cost.output_bytes = sum(cost.output_bytes, bytes_of(graph.value(output).type));
  const MacRule rule = node.kind == OpKind::kOpaque ? nullptr : op_row(node.kind).macs;
  cost.macs = rule != nullptr ? rule(graph, node) : std::optional<int64_t>(0);
  if (node.kind == OpKind::kOpaque) cost.macs = std::nullopt;
  cost.integer = rule != nullptr && is_small_integer(graph, node.input(0));
  return cost;
}

Graph with_input_shapes(Graph graph, std::span<const Shape> shapes) {
  if (shapes.size() != graph.inputs().size()) return graph;
  Graph shaped = graph;
  try {
    for (size_t i = 0; i < shapes.size(); ++i)
      shaped.edit_type(shaped.inputs()[i]).dims = dims_of(shapes[i]);
    infer_shapes(shaped);
  } catch (const Error&) {
    return graph;
  }
  return shaped;
}

}  // namespace lathe
