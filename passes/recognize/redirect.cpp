#include "recognize/redirect.h"

#include <algorithm>

namespace lathe {

bool is_unread(const Graph& graph, ValueId id) {
  return !id.valid() || (graph.value(id).users.empty() && !graph.is_output(id));
}

bool may_redirect(const Graph& graph, ValueId from, ValueId to) {
  if (!graph.is_output(from)) return true;
  return graph.value(to).producer.valid() && !graph.is_output(to);
}

void erase_if_unread(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const bool unread = std::all_of(node.outputs.begin(), node.outputs.end(),
                                  [&](ValueId output) { return is_unread(graph, output); });
  if (unread) graph.erase_node(id);
}

}  // namespace lathe
