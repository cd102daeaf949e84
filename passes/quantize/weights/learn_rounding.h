// Rounding learned by gradients, which sees the activation behind a layer: AdaRound (Nagel, Amjad,
// van Baalen, Louizos and Blankevoort, "Up or Down? Adaptive Rounding for Post-Training
// Quantization", ICML 2020).
#pragma once

#include <cstdint>
#include <functional>

#include "calibration/choose_range.h"
#include "quantize/weights/round_matrix.h"

namespace lathe {

/// Rows of a layer: float32, inputs [rows, groups * inputs], wanted [rows, groups * outputs] as the
/// float network computes them, before the activation.
struct LayerRows {
  at::Tensor inputs;
  at::Tensor wanted;
};

struct LearnRoundingOptions {
  int iterations = 1000;
  int64_t batch = 256;  // rows of a step
  /// Of the activation behind the layer: errors beyond do not count.
  Range bounds;
  uint64_t seed = 0;  // of the batches
  int threads = 1;
  std::function<void()> check;
};

/// Every weight goes to the integer below or above it. Minimises
///   ||clamp(x Q^T + bias) - clamp(wanted)||^2
/// by Adam over h(V) in 0..1, Q = s * (floor(W / s) + h(V)), with the paper's term that draws h to
/// 0 or 1 and is turned on after a fifth of the iterations. `start`: multiples of the scales where
/// it begins; `bias`: [groups, outputs]. Outputs are independent of each other, so the result does
/// not depend on `threads`.
at::Tensor learn_rounding(const at::Tensor& weights, const at::Tensor& start,
                          const at::Tensor& bias, const LayerRows& rows, const WeightGrid& grid,
                          const LearnRoundingOptions& options);

/// ||clamp(x Q^T + bias) - clamp(wanted)||^2 of every output: [groups, outputs].
at::Tensor clamped_errors(const at::Tensor& rounded, const at::Tensor& bias, const LayerRows& rows,
                          const Range& bounds);

}  // namespace lathe
