// Weights onto their integers layer by layer, in the network's order, each with what the quantized
// network feeds it: what earlier layers have lost is seen.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "quantize/precision_plan.h"
#include "quantize/round_layer.h"
#include "run/sample_runner.h"

namespace lathe {

struct RoundingOptions {
  int threads = 1;
  uint64_t seed = 0;  // of the positions that are looked at
  /// Rows of inputs that a layer is looked at, of all samples together; more where it has many
  /// inputs.
  int64_t rows = 6000;
  double damping = 0.01;  // as in RoundLayerOptions
  std::vector<double> ridges = {0, 0.1, 1};
  int iterations = 0;
  /// Activations of all samples are kept between layers up to this; beyond, they are computed anew.
  int64_t cache_bytes = int64_t{384} << 20;
  /// Outputs of the float layers at the positions that are looked at; beyond, the float network
  /// runs once more.
  int64_t target_bytes = int64_t{128} << 20;
  std::function<void()> check;  // may throw to stop
  std::function<void(size_t done, size_t all)> progress;
};

struct RoundingRow {
  NodeId node;
  RoundingMethod method = RoundingMethod::kNearest;
  BiasShift bias = BiasShift::kNone;
  int64_t rows = 0;
  double error_nearest = 0;  // as in RoundedLayer
  double error_after = 0;
};

/// Given:  the plan's nodes in float, `graph` a copy of `reference` with the same ids
/// Result: their constant weights in `graph` are multiples of the plan's scales, so that
///         insert_qdq() finds these integers;
///         their biases are corrected. A bias that a node did not have joins plan.biases.
/// Layers that linear_layer() does not know, ConvTranspose and layers whose equations would take more
/// than 160 MB are left to insert_qdq(). The result does not
/// depend on the number of threads. Throws Error (exit 3) for NaN and infinite activations.
std::vector<RoundingRow> round_weights(const Graph& reference, Graph& graph, PrecisionPlan& plan,
                                       const SampleSource& source, const RoundingOptions& options);

}  // namespace lathe
