// Where channels may be scaled although their value may not: SmoothQuant's (Xiao et al.,
// "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2022)
// for networks whose normalization is read by a residual sum, too, and for activations.
#pragma once

#include <vector>

#include "ir/graph.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

/// Given:  x -> MatMul(W1), MatMul(W2), Add; x in no class of find_scale_classes()
/// Result: x -> Mul(ones) -> MatMul(W1), MatMul(W2); x -> Add
/// for float values that selected products read and no selected node makes: the Mul's output is a
/// class of its own. Returns these Mul nodes; their values have x's name and "_scaled".
std::vector<NodeId> insert_scaling_points(Graph& graph, const PrecisionPlan& selection);

/// Takes those away that still multiply by ones; returns how many.
int remove_idle_points(Graph& graph, const std::vector<NodeId>& points);

}  // namespace lathe
