// Integer products whose activation ranges are measured while running: --mode dynamic.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

struct DynamicRules {
  bool per_channel = true;
  bool reduce_range = false;  // weights of one bit less: devices that add products in 16 bits
  bool contrib = true;        // the runtime has com.microsoft.DynamicQuantizeLSTM
  /// Why the node stays as it is; empty text: it does not. Empty function: every node is meant.
  std::function<std::string(const Node&)> obstacle;
  /// Whether a convolution is meant, too: its ranges are costly to measure for what it gains.
  std::function<bool(const Node&)> convolution;
};

struct DynamicPlan {
  std::vector<NodeId> nodes;  // MatMul, Gemm, Conv, LSTM
  bool per_channel = true;
  bool reduce_range = false;
  std::vector<PlanException> exceptions;  // of the graph's bodies, too
  std::map<std::pair<NodeId, size_t>, DynamicPlan> bodies;

  bool empty() const { return nodes.empty() && bodies.empty(); }
  /// Bodies included.
  int64_t count() const;
};

/// Nodes whose weight is a float32 constant of this graph; bodies included. Throws Error (exit 3)
/// for weights that are NaN or infinite. Types must have been inferred.
DynamicPlan plan_dynamic(const Graph& graph, const DynamicRules& rules);

/// Given:  y = MatMul(x, W) | Gemm(x, W, c) | Conv(x, W, b)
/// Result: q, s, z = DynamicQuantizeLinear(x), one for all that read x
///         y = Cast(MatMulInteger(q, W8, z)) * (s * w) + c        (ConvInteger alike)
/// Given:  LSTM(X, W, R, B, …)
/// Result: com.microsoft.DynamicQuantizeLSTM with W8 and R8 as [directions, inputs, 4 * hidden].
/// Returns the number of nodes that were replaced.
int quantize_dynamically(Graph& graph, const DynamicPlan& plan);

}  // namespace lathe
