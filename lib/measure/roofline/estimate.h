// How long a model would take on a device of known rates: a roofline for each layer (Williams,
// Waterman, Patterson 2009). A bound that real kernels stay above, not a measurement: whoever shows
// it marks it "simulated".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct MemoryLevel {
  std::optional<int64_t> capacity_bytes;  // absent: holds everything
  double gb_per_s = 0;
};

/// All cores together.
struct DeviceRates {
  std::map<std::string, double> gops;  // dtype -> 10^9 operations/s, a multiply-add is two
  std::vector<MemoryLevel> memory;     // nearest first; empty: traffic costs nothing
};

struct LayerEstimate {
  std::string node;
  std::string type;
  std::string dtype;                // of the arithmetic: "float32", "float16", "int8"
  std::optional<int64_t> macs;      // absent: shapes are not known
  int64_t bytes = 0;                // weights, inputs and outputs; unknown sizes left out
  std::vector<std::string> merged;  // nodes that an engine executes with this one
  double compute_ns = 0;
  double memory_ns = 0;
  double ns = 0;  // the slower of both
  bool memory_bound = false;
};

struct EstimatedLatency {
  std::optional<double> ns;  // absent: `reason` says why
  std::string reason;
  double memory_bound_ns = 0;  // share of `ns` in layers that memory bounds
  int64_t unknown_nodes = 0;   // of unknown shape: counted too cheap
  std::vector<LayerEstimate> layers;
};

/// At the stored shapes; an open first dimension counts as 1. What engines fuse is counted as
/// fused: an elementwise op joins the layer that alone feeds it, QuantizeLinear and
/// DequantizeLinear cost nothing and tensors between them travel in their integer type; ops that
/// only rename elements (Reshape, Flatten, …) are free. A layer computes in int8 when data and
/// weights are 8-bit; a dtype without a rate counts at float32's. Weights come from the level that
/// holds all weights, activations from the one that holds the layer's. Subgraphs are not counted.
EstimatedLatency estimate_latency(const Graph& graph, const DeviceRates& rates);

/// Its ns alone, for searches and budgets. Throws Error (exit 3) where there is none (no shape is
/// known, no rates).
double simulated_latency_ns(const Graph& graph, const DeviceRates& rates);

}  // namespace lathe
