// A graph as an engine executes it: which nodes run as one, and which values are stored.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace lathe {

struct FusedLayer {
  NodeId node;
  /// Executed with it, in order: elementwise ops that it alone feeds, and the QuantizeLinear of an
  /// output.
  std::vector<NodeId> merged;
  /// One per output of the node: what is written for it, by the last of the merged nodes.
  std::vector<ValueId> outputs;
};

/// In the order of execution. Ops that only rename elements (Reshape, Flatten, …) and quantizers
/// that are not merged are no layers. Subgraphs belong to their node.
std::vector<FusedLayer> fused_layers(const Graph& graph);

/// Elements keep their order and stay where they are.
bool is_view(OpKind kind);

/// The value that travels for `id`: what a DequantizeLinear widens stays narrow until it is used.
ValueId stored_value(const Graph& graph, ValueId id);

/// The same through views, too.
ValueId stored_through_views(const Graph& graph, ValueId id);

}  // namespace lathe
