// Moving biases that a Relu always lets through into the next layer.
#pragma once

#include "calibration/calibrate.h"
#include "ir/graph.h"

namespace lathe {

/// Given:  Conv | Gemm (W1, b1) -> Relu -> Conv | Gemm (W2, b2) without padding, and channels k
///         whose smallest value before the Relu, c[k], is above 0 on the data
/// Result: b1 - c and b2 + W2 c: the same function on the data, with ranges that start at 0 (Nagel
/// et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section
/// 4.1.3, with c measured). Channels where c[k] is less than 1 % of the largest value stay.
/// All that reads the Relu must be such a layer. `statistics` must hold, in `channels`, the values
/// before the Relus of this very graph; nodes of which it does not stay. Returns the number of
/// channels whose bias was moved.
int absorb_high_biases(Graph& graph, const Statistics& statistics);

/// Those values, with the axis of their channels.
std::map<ValueId, int64_t> absorption_targets(const Graph& graph);

}  // namespace lathe
