// A node of a network as a network of its own: quantized and run, it tells what that one node's
// integers do.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct NodeAlone {
  NodeId node;  // of the network that it was taken from
  /// Of that network, one for each input of `graph`: what the node and its bodies read, without
  /// constants.
  std::vector<ValueId> inputs;
  Graph graph;  // its outputs are the node's, without absent ones
  /// Of the same inputs and outputs: what `graph` is measured against once it was quantized, where
  /// that is not what the network computes (what comes in was rounded by others already).
  std::optional<Graph> against;
};

/// Name, attributes, bodies, constants and types are the node's. What it reads comes through an
/// Identity, but for inputs of the network: passes that treat a network's inputs apart see no
/// other.
NodeAlone node_alone(const Graph& graph, NodeId id);

}  // namespace lathe
