// What each layer's integers cost at the network's outputs, all layers from one pass over the data.
//
// To first order an error e in a value moves the outputs y by J e. Its squared length is
// E[(v . J e)^2] over random signs v (M. F. Hutchinson, "A stochastic estimator of the trace of the
// influence matrix", 1990), and v . J e = g . e with g the gradient of v . y: one backward pass
// gives g . e for every value and every weight of the network.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/sensitivity/node_alone.h"
#include "run/sample_runner.h"

namespace lathe {

/// How a figure came about.
enum class NoiseEstimate : uint8_t {
  kGradient,  // Hutchinson's estimator
  /// The value's own relative error, as if it reached the outputs unchanged: an op without
  /// derivative stands between, or the network could not be differentiated.
  kLocal,
  kNone,  // nothing is rounded there
};

/// "gradient", "local", "none".
std::string_view noise_estimate_name(NoiseEstimate estimate);

/// All noise is squared output error as a share of the outputs' power (of several outputs: the mean
/// of their shares); -10 log10 of it is the SQNR that the network would have with this error alone.
struct ValueNoise {
  ValueId value;
  double noise = 0;
  NoiseEstimate estimate = NoiseEstimate::kNone;
};

struct NodeNoise {
  NodeId node;
  double weight = 0;  // of its rounded weights, with what its corrected bias takes back
  /// Of the values that it reads and makes in integers; what other readers make of them counts too.
  /// Without a plan: of all that is rounded in it, weights too.
  double values = 0;
  /// Its part of all noise: `weight`, and of each value an equal part with the other integer nodes
  /// that need it. Parts add up to the whole.
  double part = 0;
  NoiseEstimate estimate = NoiseEstimate::kNone;  // the worst that went into it

  /// When it alone is quantized (less where its values have other readers).
  double alone() const { return weight + values; }
};

struct LayerSensitivity {
  std::vector<NodeNoise> nodes;    // of the plan, largest part first
  std::vector<ValueNoise> values;  // of the plan, largest noise first
  double noise = 0;                // sum of all parts
  size_t samples = 0;
  int probes = 0;  // backward passes of a sample
};

struct SensitivityOptions {
  SampleRunOptions run;
  int probes = 2;
  uint64_t seed = 0;
};

/// `reference`: the float network that `plan` was made for. `rounded`: what insert_qdq() will be
/// given, of the same ids; its weights may be rounded and its biases corrected already (else it is
/// `reference` again). Memory: one sample's activations and their gradients, and the weights, per
/// thread. The same bytes for any number of threads. Throws Error (exit 3) when a sample cannot be
/// computed.
LayerSensitivity measure_sensitivity(const Graph& reference, const Graph& rounded,
                                     const PrecisionPlan& plan, const SampleSource& source,
                                     const SensitivityOptions& options);

/// For networks that are quantized without a plan of their values (weights alone, ranges measured
/// while running, float16): a node's error is what its quantized form makes of the float network's
/// own values, at its outputs. `values` of the result is empty; a node's `values` and `part` are
/// the same. Other errors and figures as above; besides, memory holds the quantized nodes' weights
/// as floats, and per thread what they read.
LayerSensitivity measure_sensitivity(const Graph& reference,
                                     const std::vector<NodeAlone>& quantized,
                                     const SampleSource& source, const SensitivityOptions& options);

/// What the values of plans cost at the outputs, without weights and biases: for each of `plans`,
/// which are of the same nodes and values, its rounded values -> their noise, as ValueNoise::noise.
/// One run over the samples serves all plans. Where no gradient tells them apart, all cost what the
/// first does. Errors as above.
std::vector<std::map<ValueId, double>> measure_values(const Graph& reference,
                                                      const std::vector<PrecisionPlan>& plans,
                                                      const SampleSource& source,
                                                      const SensitivityOptions& options);

/// Nodes that may be given back to float, the one that takes most noise along first. Nodes that
/// only move integers are left out: they follow their neighbours. The last one computes, so that
/// all but the last in float is still a quantized network.
std::vector<NodeId> rank_for_float(const LayerSensitivity& sensitivity, const PrecisionPlan& plan);

}  // namespace lathe
