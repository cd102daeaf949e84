// Nearest-neighbour Resize as LibTorch's kernels do it.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Integer factors of the two spatial axes when a Resize of an NxCxHxW value only repeats elements;
/// nullopt otherwise.
std::optional<std::vector<double>> repeating_factors(const Graph& graph, const Node& node);

}  // namespace lathe
