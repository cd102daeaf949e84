#include <algorithm>

#include "passes/passes.h"

namespace lathe {
namespace {

bool is_unused(const Graph& graph, ValueId id) {
  return !id.valid() || (graph.value(id).users.empty() && !graph.is_output(id));
}

int drop_unused_constants(Graph& graph) {
  int changes = 0;
  for (const ValueId id : graph.value_ids()) {
    const Value& value = graph.value(id);
    const bool orphan =
        !value.producer.valid() && !graph.is_input(id) &&
        std::find(graph.captured().begin(), graph.captured().end(), id) == graph.captured().end();
    if (orphan && is_unused(graph, id)) {
      graph.erase_value(id);
      ++changes;
    }
  }
  return changes;
}

}  // namespace

int eliminate_dead_nodes(Graph& graph) {
  int changes = 0;
  std::vector<NodeId> order = graph.order();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = graph.node(*it);
    const bool dead = std::all_of(node.outputs.begin(), node.outputs.end(),
                                  [&](ValueId id) { return is_unused(graph, id); });
    if (dead) {
      graph.erase_node(*it);
      ++changes;
      continue;
    }
    for (Subgraph& subgraph : graph.edit(*it).subgraphs)
      changes += eliminate_dead_nodes(subgraph.graph());
    graph.drop_unused_captures(*it);
  }
  return changes + drop_unused_constants(graph);
}

}  // namespace lathe
