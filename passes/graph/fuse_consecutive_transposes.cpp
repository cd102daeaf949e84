#include "graph/graph_passes.h"
#include "recognize/redirect.h"
#include "recognize/permutation.h"

namespace lathe {
namespace {

bool fuse_transpose(Graph& graph, NodeId id) {
  const Node& second = graph.node(id);
  const auto second_perm = permutation_of(graph, second);
  if (!second_perm) return false;
  const NodeId producer = graph.value(second.inputs[0]).producer;
  if (!producer.valid()) return false;
  const auto first_perm = permutation_of(graph, graph.node(producer));
  if (!first_perm || first_perm->size() != second_perm->size()) return false;
  const Permutation both = composed(*first_perm, *second_perm);
  const ValueId source = graph.node(producer).inputs[0];
  const ValueId output = second.outputs[0];
  if (is_identity(both) && may_redirect(graph, output, source)) {
    graph.replace_all_uses_keeping_output_name(output, source);
    graph.erase_node(id);
  } else {
    graph.replace_input(id, 0, source);
    graph.edit(id).attributes.set("perm", both);
  }
  erase_if_unread(graph, producer);
  return true;
}

}  // namespace

int fuse_consecutive_transposes(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    // A producer goes with the node that read it, and stands before it.
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_consecutive_transposes(subgraph.graph());
    changes += fuse_transpose(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
