// Why a layer of a quantized network is bad, and what fixes it: decided by figures, never by names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/calibrate.h"
#include "quantize/diagnose/local_errors.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/sensitivity/layer_sensitivity.h"

namespace lathe {

enum class LossCause : uint8_t {
  kSaturation,       // sums of products leave 16 bits on the device
  kShapeArithmetic,  // its result becomes a shape or an index
  kGathered,         // what arrives is bad already
  kChannelSpread,    // one weight scale for channels of very different size
  kLargeWeights,     // a few large weights set the scale of all
  kWeights,          // its weights have too few bits, without one of these reasons
  kClipped,          // the chosen range cuts off too much
  kSqueezed,         // most values lie within a step of 0 or 1
  kOutliers,         // a few large activations set the step of all
  kInputSpread,      // channels of its input have very different sizes
  kFirstLayer,       // it reads the network's input
  kLastLayer,        // it makes the network's output
  kActivations,      // its activations have too few bits, without one of these reasons
};

/// "outlier activations", "channel range spread", …
std::string_view cause_name(LossCause cause);

struct Diagnosis {
  NodeId node;
  std::string name;
  std::string type;
  double sqnr_db = 0;        // at its output in the whole quantized network
  double local_sqnr_db = 0;  // with float inputs: what it loses by itself
  LossCause cause = LossCause::kActivations;
  std::string text;     // the figures that show it
  std::string flag;     // exactly what to type, "--exclude 'Conv_12'"; empty: nothing is known
  std::string culprit;  // of kGathered: the layer before it that loses most
  /// Of the noise at the outputs, of the weights or the value that it is about, and the flags that
  /// leave these in float; 0 and empty where it is little or not known.
  double share = 0;
  std::string apart;
};

/// What was asked for already, and what the device counts: nothing is advised that was done.
struct DiagnosisRequest {
  std::string observer = "auto";
  std::string effort = "fast";
  std::string weight_granularity = "channel";
  int64_t weight_bits = 8;
  std::string profile;
  /// Share of a layer's sums of two products beyond 16 bits on the calibration data
  /// (quantize/plan/saturation.h); empty: the device adds exactly, or nothing was counted.
  std::map<NodeId, double> saturating_share;
  bool profile_guards_saturation = false;  // it is one whose weights are planned against that
  /// What reaches the outputs, of a network where something is bad: says whom to blame. Without it
  /// (or where nothing reaches them) noise is judged channel by channel where it arises.
  std::optional<LayerSensitivity> sensitivity;
};

/// A layer is bad when it alone leaves less than this; a sound one leaves 30 to 60 dB.
constexpr double kBadSqnrDb = 20;
/// What is left in the whole network, by the sum of all layers' noise: 18 to 30 dB where all is
/// well.
constexpr double kBadArrivalDb = 15;

/// Whether a layer is bad, by itself or by what arrives: then diagnose_layers() has something to
/// say and `sensitivity` is worth its passes.
bool any_bad(const std::vector<LayerError>& errors);

/// Bad layers with the cause that explains most: those that lose it themselves first, least SQNR of
/// their own first, then those that it arrives at. Empty for a healthy network. `graph` is the one
/// that `plan` was made for and `errors` were measured against; values without a histogram in
/// `statistics` are judged by what was measured at the layer alone.
///
/// Decided in this order; the first that holds is the cause.
///  1. saturation: more than 0.01 % of the sums of two products leave 16 bits (whatever the SQNR).
///  2. shape arithmetic: the layer's result reaches a shape, size or index input, and its step is
///     half an integer or more.
///  3. gathered noise: by itself it is not bad, and it is not to blame for what arrives. To blame
///  are
///     weights and values that make 15 % of the noise at the outputs (a value at the layer that
///     makes it, else at the first that reads it); without `sensitivity` the worst layer before a
///     bad one, when its own noise is a quarter of what arrives (half, channel by channel).
///  Then what it is to blame for, or the larger of its two kinds of noise. Weights:
///  4. channel range spread: one scale for all channels, and the largest weight is 8 times that of
///     the smallest tenth of the channels: three bits of theirs are lost.
///  5. few large weights: the root mean square weight is less than 10 of the steps (127 are there;
///     36 in a normal distribution of 1,000).
///  6. weights.
///  Activations, of the value to blame, or the input with the least SQNR (its own output, when no
///  layer reads that and it loses more):
///  7. clipped: values outside of the range make more than half of the squared error, and behind
///     what reads them (value_response.h) the whole range would lose less.
///  8. squeezed: Sigmoid, HardSigmoid or Softmax made it, and at least half of the values lie
///     within a step of 0 or 1.
///  9. outliers: the whole range is 4 times that of 99.9 % of the values, which use less than 64
///     steps.
/// 10. activation channel spread: the channel with the largest magnitude has 16 times that of the
///     smallest tenth (channels that are always zero aside).
/// 11. first layer, last layer: the value is a graph input; the network's output depends on no
///     layer behind it.
/// 12. activations.
std::vector<Diagnosis> diagnose_layers(const Graph& graph, const PrecisionPlan& plan,
                                       const Statistics& statistics,
                                       const std::vector<LayerError>& errors,
                                       const DiagnosisRequest& request);

}  // namespace lathe
