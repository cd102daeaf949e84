// Which constants of a graph are weights: what sparsity is measured and masks are made on.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// A floating-point constant of rank 2 or more that a node multiplies its input with.
struct PrunableWeight {
  ValueId constant;
  NodeId node;             // its first reader
  int16_t input_axis = 0;  // the axis that is summed over: input channels
};

/// Weights by the op table (Conv, ConvTranspose, Gemm, MatMul with a constant second operand, W and
/// R of recurrent ops), in the graph's order, each constant once. `selected` (empty: all) is asked
/// for every reader; a constant with a reader that is not selected is left out. The top graph only:
/// bodies of If, Loop and Scan keep their weights.
std::vector<PrunableWeight> prunable_weights(const Graph& graph,
                                             const std::function<bool(const Node&)>& selected = {});

/// Indices of the inputs that hold a node's weights (recurrent ops: W and R); empty for other
/// nodes.
std::vector<size_t> weight_inputs(const Node& node);

/// Gates of a recurrent node: 4 of an LSTM, 3 of a GRU, 1 of an RNN; 0 for other nodes.
int64_t gate_count(OpKind kind);

/// The constant's elements. Throws Error (exit 3) that names the constant when an element is NaN or
/// infinite.
std::vector<double> finite_weights(const Graph& graph, ValueId constant);

}  // namespace lathe
