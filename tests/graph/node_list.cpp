#include "graph/node_list.h"

namespace lathe::test {
namespace {

std::string names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (const ValueId id : ids) {
    if (!text.empty()) text += ", ";
    text += id.valid() ? graph.value(id).name : "-";
  }
  return text;
}

}  // namespace

std::string node_list(const Graph& graph) {
  std::string text;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!text.empty()) text += "; ";
    text += names(graph, node.outputs) + " = " + std::string(node.type_name()) + "(" +
            names(graph, node.inputs) + ")";
  }
  return text;
}

size_t total_nodes(const Graph& graph) {
  size_t count = 0;
  for_each_graph(graph, [&](const Graph& each) { count += each.node_count(); });
  return count;
}

}  // namespace lathe::test
