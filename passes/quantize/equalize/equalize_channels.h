// Carries an EqualizationPlan out.
#pragma once

#include "quantize/equalize/plan_equalization.h"

namespace lathe {

/// Given:  x -> Conv(W1, b1) -> Relu -> y -> Conv(W2, b2), y in a class with factors s
/// Result: x -> Conv(s W1, s b1) -> Relu -> s y -> Conv(W2 / s, b2): the same function (with a
/// Clip: the same on data that stay below its bound). Arithmetic in double, each node's constants
/// rounded once; constants that other nodes read, too, are left to them. Returns the number of
/// nodes whose constants changed. Throws InternalError when the plan was made for another graph.
int equalize_channels(Graph& graph, const EqualizationPlan& plan);

}  // namespace lathe
