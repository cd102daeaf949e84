#include "lower/quantized_roots.h"

#include <algorithm>
#include <set>

#include "ops/op_row.h"

namespace lathe {
namespace {

size_t index(ValueId id) { return static_cast<size_t>(id.index); }

const std::optional<Dims>& dims(const Graph& graph, ValueId id) {
  return graph.value(id).type.dims;
}

/// And their number is known.
bool has_elements(const Graph& graph, ValueId id) {
  const auto shape = dims(graph, id) ? static_shape(*dims(graph, id)) : std::nullopt;
  return shape && element_count(*shape) > 0;
}

bool is_scalar_constant(const Graph& graph, ValueId id) {
  const Node* dq = dequantizer(graph, id);
  const Tensor* constant = graph.constant(dq != nullptr ? dq->input(0) : id);
  return constant != nullptr && constant->numel() == 1;
}

// One value's elements decide the output's where all other inputs are scalars or have its shape.
bool maps_elements(OpKind kind) { return op_row(kind).elementwise || kind == OpKind::kIdentity; }

}  // namespace

QuantizedRoots::QuantizedRoots(const Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  int32_t values = 0;
  int32_t nodes = 0;
  for (const ValueId id : graph.value_ids()) values = std::max(values, id.index + 1);
  for (const NodeId id : order) nodes = std::max(nodes, id.index + 1);
  quantized_.resize(static_cast<size_t>(values));
  roots_.resize(static_cast<size_t>(values));
  demanded_.resize(static_cast<size_t>(values));
  functions_.assign(static_cast<size_t>(nodes), false);

  // The one root of all inputs that are no scalars; invalid when there is none or the shapes
  // differ.
  const auto common_root = [&](const Node& node) {
    ValueId common;
    for (const ValueId input : node.inputs) {
      if (!input.valid() || is_scalar_constant(graph, input)) continue;
      const ValueId root = roots_[index(input)];
      if (!root.valid() || (common.valid() && root != common)) return ValueId{};
      if (!dims(graph, input) || dims(graph, input) != dims(graph, node.outputs[0]))
        return ValueId{};
      common = root;
    }
    return common;
  };
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (node.outputs.size() != 1 || !node.output(0).valid() || !node.subgraphs.empty()) continue;
    const ValueId output = node.outputs[0];
    if (node.kind == OpKind::kQuantizeLinear) {
      const DType type = graph.value(output).type.dtype;
      const DType from = graph.value(node.input(0)).type.dtype;
      const auto params = uint8_params(graph, node);
      if (!params || graph.constant(node.input(0)) || !has_elements(graph, output) ||
          (from != DType::kFloat32 && from != DType::kUndefined))
        continue;
      quantized_[index(output)] = QuantizedArray{*params, type};
      const ValueId root = roots_[index(node.input(0))];
      roots_[index(output)] = root.valid() ? root : output;
      functions_[static_cast<size_t>(id.index)] = root.valid();
    } else if (node.kind == OpKind::kDequantizeLinear) {
      const ValueId q = node.input(0);
      if (!roots_[index(q)].valid() || !uint8_params(graph, node)) continue;
      roots_[index(output)] = roots_[index(q)];
      functions_[static_cast<size_t>(id.index)] = true;
    } else if (maps_elements(node.kind)) {
      const DType type = graph.value(output).type.dtype;
      const ValueId root = common_root(node);
      if (!root.valid() || (type != DType::kFloat32 && type != DType::kUndefined)) continue;
      roots_[index(output)] = root;
      functions_[static_cast<size_t>(id.index)] = true;
    }
  }
  for (const ValueId id : graph.value_ids()) {
    const ValueId root = roots_[index(id)];
    if (!root.valid()) continue;
    const std::vector<NodeId>& users = graph.value(id).users;
    const bool wanted =
        graph.is_output(id) || std::any_of(users.begin(), users.end(), [&](NodeId u) {
          return !functions_[static_cast<size_t>(u.index)];
        });
    if (wanted) demanded_[index(root)].push_back(id);
  }
}

std::optional<QuantizedTail> QuantizedRoots::root_behind(const Graph& graph, ValueId value,
                                                         bool through_clamp) const {
  auto tail = quantized_tail(graph, value, through_clamp);
  return tail && quantized(tail->integers) && root(tail->integers) == tail->integers ? tail
                                                                                     : std::nullopt;
}

std::vector<NodeId> QuantizedRoots::path(const Graph& graph, ValueId root, ValueId id) const {
  std::set<NodeId> seen;
  std::vector<ValueId> open{id};
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    const NodeId producer = graph.value(value).producer;
    if (value == root || !producer.valid() || !seen.insert(producer).second) continue;
    for (const ValueId input : graph.node(producer).inputs)
      if (input.valid() && !graph.constant(input)) open.push_back(input);
  }
  std::vector<NodeId> ordered;
  for (const NodeId node : graph.order())
    if (seen.contains(node)) ordered.push_back(node);
  return ordered;
}

}  // namespace lathe
