// The common end of every recognition: the nodes of a pattern become one op.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// What a pattern turns into: `root`, its last node, becomes `kind`; `inner` are its other nodes
/// (the root may be among them, and nodes may be named twice).
struct WrittenOut {
  NodeId root;
  std::vector<NodeId> inner;
  OpKind kind = OpKind::kOpaque;
  std::vector<ValueId> inputs;
  Attributes attributes;
};

/// Whether nobody outside the pattern reads its inner values.
bool is_closed(const Graph& graph, NodeId root, std::span<const NodeId> inner);

/// Edits the root in place, so that its name, its output and its place in the order stay; the inner
/// nodes die. Does nothing and returns false when the pattern is not closed.
bool replace_written_out(Graph& graph, const WrittenOut& pattern);

/// Floating, and both of one known rank: an elementwise chain from `from` to `to` did not
/// broadcast.
bool keeps_shape(const Graph& graph, ValueId from, ValueId to);

/// The same number: known sizes, or one symbol.
bool is_same_dim(const Dim& a, const Dim& b);

/// Calls `one` (bool(Graph&, NodeId): did it change something) on every node of the graph and of
/// all bodies in it, in order, as long as it lives.
template <class One>
int for_each_live_node(Graph& graph, One one) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    if (!graph.is_live(id)) continue;
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += for_each_live_node(subgraph.graph(), one);
    changes += one(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
