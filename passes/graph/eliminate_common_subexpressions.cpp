#include <map>
#include <tuple>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

bool is_repeatable(const Node& node) {
  return node.kind != OpKind::kOpaque && node.kind != OpKind::kDequantizeLinear &&
         !op_row(node.kind).random && node.subgraphs.empty() && !node.outputs.empty();
}

// The second may go when every output of it that is read exists in the first, too.
bool may_merge(const Graph& graph, const Node& first, const Node& second) {
  if (!first.attributes.identical(second.attributes)) return false;
  // An optional output more or less may change what the others mean (BatchNormalization).
  if (first.outputs.size() != second.outputs.size()) return false;
  for (size_t i = 0; i < first.outputs.size(); ++i) {
    const ValueId to = first.outputs[i];
    const ValueId from = second.outputs[i];
    if (to.valid() != from.valid()) return false;
    if (from.valid() && !may_redirect(graph, from, to)) return false;
  }
  return true;
}

void merge(Graph& graph, NodeId first, NodeId second) {
  const std::vector<ValueId> to = graph.node(first).outputs;
  const std::vector<ValueId> from = graph.node(second).outputs;
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i].valid()) graph.replace_all_uses_keeping_output_name(from[i], to[i]);
  graph.erase_node(second);
}

}  // namespace

int eliminate_common_subexpressions(Graph& graph) {
  int changes = 0;
  std::map<std::tuple<OpKind, std::vector<ValueId>>, std::vector<NodeId>> seen;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += eliminate_common_subexpressions(subgraph.graph());
    const Node& node = graph.node(id);
    if (!is_repeatable(node)) continue;
    auto& equals = seen[{node.kind, node.inputs}];
    bool merged = false;
    // Producers come first, so a node's inputs are already the merged ones.
    for (const NodeId first : equals) {
      if (!may_merge(graph, graph.node(first), node)) continue;
      merge(graph, first, id);
      ++changes;
      merged = true;
      break;
    }
    // Bounds the search when thousands of nodes read one value with different attributes.
    constexpr size_t kMaxCandidates = 64;
    if (!merged && equals.size() < kMaxCandidates) equals.push_back(id);
  }
  return changes;
}

}  // namespace lathe
