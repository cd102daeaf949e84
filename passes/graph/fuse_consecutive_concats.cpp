#include <algorithm>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

std::optional<int64_t> axis_of(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kConcat) return {};
  const int64_t axis = node.attributes.required_int("axis");
  if (axis >= 0) return axis;
  const auto& dims = graph.value(node.outputs[0]).type.dims;
  return dims ? std::optional(axis + static_cast<int64_t>(dims->size())) : std::nullopt;
}

// The parts of an inner Concat that only this one reads, once.
const Node* inner_concat(const Graph& graph, NodeId id, ValueId input, int64_t axis) {
  const NodeId producer = graph.value(input).producer;
  if (!producer.valid() || graph.single_user(input) != id) return nullptr;
  const Node& node = graph.node(producer);
  return axis_of(graph, node) == axis ? &node : nullptr;
}

bool is_empty(const Graph& graph, ValueId input, int64_t axis) {
  const auto& dims = graph.value(input).type.dims;
  return dims && axis < static_cast<int64_t>(dims->size()) &&
         (*dims)[static_cast<size_t>(axis)].size == 0 && graph.constant(input) != nullptr;
}

bool fuse_concat(Graph& graph, NodeId id) {
  const auto axis = axis_of(graph, graph.node(id));
  if (!axis || *axis < 0) return false;
  std::vector<ValueId> parts;
  std::vector<NodeId> inner;
  bool changed = false;
  for (const ValueId input : graph.node(id).inputs) {
    const Node* node = inner_concat(graph, id, input, *axis);
    const bool empty = is_empty(graph, input, *axis) && graph.node(id).inputs.size() > 1;
    changed |= node != nullptr || empty;
    if (node != nullptr) {
      parts.insert(parts.end(), node->inputs.begin(), node->inputs.end());
      inner.push_back(graph.value(input).producer);
    } else if (!empty) {
      parts.push_back(input);
    }
  }
  if (!changed || parts.empty()) return false;
  graph.truncate_inputs(id, 0);
  for (const ValueId part : parts) graph.add_node_input(id, part);
  for (const NodeId node : inner) graph.erase_node(node);
  return true;
}

}  // namespace

int fuse_consecutive_concats(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_consecutive_concats(subgraph.graph());
    changes += fuse_concat(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
