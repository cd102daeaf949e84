// Where a graph is cut so that training keeps few activations: training deep nets with sublinear
// memory cost (Chen, Xu, Zhang, Guestrin 2016, https://arxiv.org/abs/1604.06174).
#pragma once

#include <cstddef>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Positions in graph.order() at which segments begin; the first is 0. Chosen so that the
/// most that autograd keeps at a time (what crosses borders up to a segment, and that segment's own
/// activations) is least by the shapes that the graph knows; unknown dimensions count as 64. Only
/// tensors of numbers cross a border. One segment where cutting saves nothing.
std::vector<size_t> activation_segments(const Graph& graph);

}  // namespace lathe
