// What the readers of a value make of its numbers one by one.
#pragma once

#include "calibration/choose_range.h"
#include "ir/graph.h"

namespace lathe {

/// Given:  x read by Sigmoid, Tanh, HardSigmoid, HardSwish, Elu, Softplus or Gelu alone, or by
///         Sigmoid (HardSigmoid) s and Mul(x, s): SiLU (hard swish)
/// Result: that function; otherwise an empty one. A range of x that is chosen by errors behind it
///         spends its integers where the function is steep.
Response response_behind(const Graph& graph, ValueId value);

}  // namespace lathe
