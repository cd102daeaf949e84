// Which channels of a plan need smaller weights on a device whose pair sums saturate: bounded from
// the weights, counted on data.
#pragma once

#include <string>
#include <vector>

#include "quantize/plan/precision_plan.h"
#include "quantize/plan/saturation.h"
#include "run/sample_runner.h"

namespace lathe {

struct LayerSaturation {
  NodeId node;
  SaturationBound bound;       // of the 8-bit weights
  std::vector<float> factors;  // widening_factors() of them, one a scale
  bool counted = false;
  SaturationCount count;  // of the 8-bit weights on the data; `lost` in the output's units
  /// Squared error that steps larger by the factor add on the same data, by scale: from the
  /// weights' own rounding errors and the mean square of the inputs.
  std::vector<double> rounding;
  // What decide_saturation() says:
  std::vector<float> widened;  // by scale: the factor, or 1
  int64_t widened_scales = 0;
  std::string reason;

  double lost() const;  // over all channels
  double rounding_error() const;
};

/// Bounds of all planned layers with constant weights whose pair sums can saturate, as 8-bit
/// integers before the plan widened them. Layers that cannot saturate are not listed.
std::vector<LayerSaturation> bound_saturation(const Graph& graph, const IntegerRules& rules,
                                              const PrecisionPlan& plan);

/// Runs the float graph over the samples and counts the pairs of `layers` with their inputs as the
/// plan quantizes them. The result does not depend on the number of threads.
void count_pairs_of_layers(const Graph& graph, const IntegerRules& rules, const PrecisionPlan& plan,
                           const SampleSource& source, const SampleRunOptions& options,
                           std::vector<LayerSaturation>& layers);

/// A rounding error is partly corrected by later steps, a saturated sum is not.
constexpr double kAcceptedLoss = 0.25;

/// Fills widened and reason. Without counts every channel that can saturate is widened; with them
/// those where saturation costs more than kAcceptedLoss of what larger steps cost. (MobileNetV2's
/// logits on such a device: 24.5 dB so, 23.3 with all channels widened that can saturate, 15.0 with
/// none.)
void decide_saturation(std::vector<LayerSaturation>& layers);

/// Gives the layers of the plan the scales that were decided. Returns how many layers changed.
int apply_saturation(const Graph& graph, const IntegerRules& rules,
                     const std::vector<LayerSaturation>& layers, PrecisionPlan& plan);

}  // namespace lathe
