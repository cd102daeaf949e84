// A graph for inputs of known shapes.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// With these input shapes much becomes constant: the graph is optimized once more.
Graph specialized(const Graph& graph, const std::vector<Shape>& shapes);

}  // namespace lathe
