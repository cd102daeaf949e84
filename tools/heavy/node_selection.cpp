#include "heavy/node_selection.h"

namespace lathe {

bool NodeSelection::selects(const Node& node) const {
  const bool in = include.empty() || matches_any(include, node.name, node.type_name());
  return in && !matches_any(exclude, node.name, node.type_name());
}

void require_matches(const NodeSelection& selection, const Graph& graph) {
  std::vector<NodeLabel> labels;
  for (const NodeId id : graph.node_ids())
    labels.push_back({graph.node(id).name, std::string(graph.node(id).type_name())});
  require_matches(selection.include, labels, "--include");
  require_matches(selection.exclude, labels, "--exclude");
}

}  // namespace lathe
