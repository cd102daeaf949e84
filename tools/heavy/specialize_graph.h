// A graph for the native engine and inputs of known shapes.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// With these input shapes much becomes constant: the graph is optimized once more, and what has no
/// native kernel is written out in ops that have one.
Graph specialized(const Graph& graph, const std::vector<Shape>& shapes);

}  // namespace lathe
