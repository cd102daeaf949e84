// Graph -> native plan. The graph's shapes are known (inputs fixed, infer_shapes has run) and it
// has been optimized as for any other target: what it computes is what the plan computes.
//
// Quantization: a value between QuantizeLinear and DequantizeLinear is a uint8 array (int8 is
// shifted by 128). Steps read and write such arrays directly; elementwise functions of one
// quantized value become a table of 256; an array is dequantized only for a reader that computes
// in float. Images lie with their channels side by side (NHWC).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "plan/plan.h"

namespace lathe {

struct LoweredGraph {
  NativePlan plan;
  /// What FallbackStep::partition counts: nodes without a native kernel, as graphs of their own.
  /// Inputs and outputs in the step's order.
  std::vector<Graph> partitions;
};

struct LowerOptions {
  /// Names of convolutions and matrix products that are computed in float though they could be in
  /// integers: with their weights as these stand for, and with their input as it was before it was
  /// quantized where that is there. Nothing else becomes less accurate.
  std::set<std::string> float_nodes;
  /// Float convolutions and matrix products may round what they multiply to bfloat16.
  bool bfloat16 = false;
  /// For kernels that read no byte beyond an array, the caller's arrays where they lie, and images
  /// in any layout: of generated code, where memory is scarce. The biases of integer products are
  /// int32 then, in the unit of the sums. The native engine does not run such plans.
  bool compact = false;
};

/// Throws Error: exit 3 for a graph that cannot be valid, exit 8 for more memory than can be
/// planned.
LoweredGraph lower_graph(const Graph& graph, const LowerOptions& options = {});

}  // namespace lathe
