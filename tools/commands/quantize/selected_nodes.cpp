#include "commands/quantize/selected_nodes.h"

#include "ir/error.h"

namespace lathe {

NodeSelection selected_nodes(const QuantizeOptions& options, const Graph& graph) {
  NodeSelection selection{parse_selectors(options.include), parse_selectors(options.exclude)};
  std::vector<NodeLabel> labels;
  bool some = false;
  for_each_graph(graph, [&](const Graph& part) {
    for (const NodeId id : part.node_ids()) {
      const Node& node = part.node(id);
      labels.push_back({node.name, std::string(node.type_name())});
      some = some || selection.selects(node);
    }
  });
  require_matches(selection.include, labels, "--include");
  require_matches(selection.exclude, labels, "--exclude");
  const bool asked = !selection.include.empty() || !selection.exclude.empty();
  if (asked && !some && !labels.empty())
    throw bad_usage("usage.selection", "--include and --exclude together leave no node",
                    selection.include.empty() ? "--exclude" : "--include",
                    "exclude fewer nodes; lathe inspect -v lists them");
  return selection;
}

}  // namespace lathe
