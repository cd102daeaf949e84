#include "graph/graph_passes.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

// Outputs that the op must have; 0 when none of them is optional.
size_t required_outputs(OpKind kind) {
  switch (kind) {
    case OpKind::kAttention:
    case OpKind::kDropout:
    case OpKind::kGRU:
    case OpKind::kLSTM:
    case OpKind::kLayerNormalization:
    case OpKind::kMaxPool:
    case OpKind::kRNN:
    case OpKind::kSkipLayerNormalization:
    case OpKind::kSoftmaxCrossEntropyLoss:
    case OpKind::kUnique: return 1;
    default: return 0;
  }
}

bool remove_from(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const size_t required = required_outputs(node.kind);
  if (required == 0) return false;
  size_t count = node.outputs.size();
  bool removes = false;
  while (count > required && is_unread(graph, node.outputs[count - 1])) {
    --count;
    removes |= node.outputs[count].valid();
  }
  if (removes) graph.truncate_outputs(id, count);
  return removes;
}

}  // namespace

int remove_unused_outputs(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += remove_unused_outputs(subgraph.graph());
    changes += remove_from(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
