// One layer's weights onto their integers, and the bias that goes with them.
#pragma once

#include <functional>
#include <vector>

#include "layers/normal_equations.h"
#include "quantize/weights/learn_rounding.h"
#include "quantize/weights/round_matrix.h"
#include "quantize/weights/rounding_options.h"

namespace lathe {

/// What is known of a layer: inputs from the quantized network, outputs of the float network.
struct LayerSamples {
  NormalEquations equations;  // of `rows`
  LayerRows rows;             // what is fitted to
  LayerRows held;             // what candidates are compared on; no rows: `rows`
};

struct LayerWeights {
  at::Tensor weight;      // [groups, outputs, inputs], double
  at::Tensor bias;        // [groups, outputs], what the node itself adds
  bool may_shift = true;  // there is a place for a bias
};

struct RoundLayerOptions {
  int threads = 1;
  uint64_t seed = 0;
  /// Added to the diagonal of the inputs' Gram matrix, relative to its mean.
  double damping = 0.01;
  /// Candidates: the weights are first fitted to what the float layer computes, from the quantized
  /// inputs, with this weight of what changes, relative to the mean square of a centred input;
  /// 0: not fitted.
  std::vector<double> ridges = {0, 0.1, 1};
  /// Steps of learn_rounding(), beside the other candidates; 0: none.
  int iterations = 0;
  /// clipped_grid() is a candidate, too.
  bool clip = false;
  /// Of the activation behind the layer.
  Range bounds;
  std::function<void()> check;
};

struct RoundedLayer {
  at::Tensor weight;
  at::Tensor scale;      // of `weight`, as the grid's
  at::Tensor shift;      // of the bias
  bool clipped = false;  // `scale` is not the grid's
  RoundingMethod method = RoundingMethod::kNearest;
  BiasShift bias = BiasShift::kNone;
  /// Squared errors behind the activation on the rows for comparison, relative to the squared sum
  /// of what is wanted there: rounded to nearest with the old bias, and as chosen.
  double error_nearest = 0;
  double error_after = 0;
};

/// The candidate of least error on the held rows, which nothing is fitted to: they may judge the
/// network, too. Bias correction after Nagel et al., "Data-Free Quantization Through Weight
/// Equalization and Bias Correction", 2019.
RoundedLayer round_layer(LayerSamples& samples, const LayerWeights& old, const WeightGrid& grid,
                         const RoundLayerOptions& options);

}  // namespace lathe
