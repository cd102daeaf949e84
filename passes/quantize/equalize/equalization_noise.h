// Expected rounding noise of a network as a function of the logarithms of its channels' scales.
#pragma once

#include <cstddef>
#include <vector>

#include "quantize/equalize/plan_equalization.h"
#include "quantize/equalize/weight_channels.h"

namespace lathe {

constexpr size_t kNotScaled = static_cast<size_t>(-1);

/// One quantized value: (high + low)² * sum weight[c] / s[c]², with high and low the largest of
/// high[c] * s[c] and low[c] * s[c].
struct ActivationNoise {
  size_t first = 0;  // variable of channel 0
  std::vector<double> high;
  std::vector<double> low;
  std::vector<double> weight;
};

/// One layer's rounded weights: sum over outputs o of weight[o] / t[o]² * D[o]² * sum over inputs c
/// of variance[c] * s[c]², where D[o] is the largest of largest[o][c] * t[o] / s[c], or that of all
/// outputs where they share a step.
struct WeightNoise {
  NodeId node;
  size_t first_input = kNotScaled;   // variables of s
  size_t first_output = kNotScaled;  // variables of t
  WeightChannels shape;
  std::vector<float> largest;  // of |weight| over a kernel's elements: [outputs, inputs_a_group]
  std::vector<double> variance;
  std::vector<double> weight;
  bool shared_step = false;
  /// The weights are multiples of their steps (quantize/plan/weight_grid.h): rounding costs nothing
  /// as long as no input is scaled (nor any output where all share a step).
  bool on_grid = false;
};

/// What single classes have a part in.
struct NoiseModel {
  std::vector<ScaleClass> classes;
  std::vector<size_t> first;  // variable of a class's channel 0
  std::vector<double> lower;  // bounds of the variables, natural logarithms
  std::vector<double> upper;
  std::vector<ActivationNoise> activations;
  std::vector<WeightNoise> weights;
};

/// How a maximum is taken: the norm of order 2^log2_order, or (0) the maximum itself.
struct Sharpness {
  int log2_order = 0;
};

/// Noise of all terms at `scales` (natural logarithms); adds its derivatives to `gradient` unless
/// that is nullptr (which needs an order). Deterministic.
double total_noise(const NoiseModel& model, const std::vector<double>& scales, Sharpness sharpness,
                   std::vector<double>* gradient = nullptr);

/// Noise of the terms that the variables [first, first + count) have a part in.
double noise_of(const NoiseModel& model, const std::vector<double>& scales, size_t first,
                size_t count);

/// The terms for these classes: sensitivities from the weights behind each value, ranges and
/// variances from the statistics.
NoiseModel noise_model(const Graph& graph, std::vector<ScaleClass> classes,
                       const PrecisionPlan& selection, const IntegerRules& rules,
                       const Statistics& statistics);

}  // namespace lathe
