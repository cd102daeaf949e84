// The optimizations that `lathe compile` makes before it writes for any target, in order.
#pragma once

#include <string_view>

#include "passes/pipeline.h"

namespace lathe {

/// Runs simplify()'s passes and those of graph_passes.h to a fixed point (at most 16 rounds) and
/// infers shapes before and after. A second call changes nothing.
void optimize_graph(Graph& graph, Pipeline& pipeline);

/// Whether a pass of that list may change the rounding of results (sums in another order, constants
/// multiplied beforehand). Where none of these changed anything, outputs stay equal to 1e-6 of the
/// largest; else to 1e-4.
bool is_arithmetic_pass(std::string_view name);

}  // namespace lathe
