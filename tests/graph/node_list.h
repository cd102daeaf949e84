// What a pass leaves, in one line.
#pragma once

#include <string>

#include "ir/graph.h"

namespace lathe::test {

/// "t = Transpose(x); y = Relu(t)": live nodes in order with the names of what they read and give;
/// absent ones are "-".
std::string node_list(const Graph& graph);

/// Nodes of the graph and of all bodies in it.
size_t total_nodes(const Graph& graph);

}  // namespace lathe::test
