// Rounding of a layer's weight matrix onto its integers so that the layer's outputs, not its
// weights, change least. Weights are [groups, outputs, inputs], everything in double; a result
// holds multiples of its scales. The outputs' squared error of rounding W to Q is
//   sum over rows x of ||(Q - W) x||^2 = trace((Q - W) G (Q - W)^T),  G = X^T X.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace lathe {

/// Outputs and groups of one task. Fixed, so that the arithmetic is the same for any number of
/// threads.
constexpr int64_t kTaskOutputs = 64;
constexpr int64_t kTaskGroups = 32;

/// Integers qmin..qmax times scales, which broadcast to the weights' shape.
struct WeightGrid {
  at::Tensor scale;
  double qmax = 127;
  double qmin = -qmax;
};

/// Every weight by itself, half to even.
at::Tensor round_to_nearest(const at::Tensor& weights, const WeightGrid& grid);

/// U with U^T U = (G + damping * mean diagonal)^-1 of `gram` [groups, inputs, inputs]: row i holds
/// how an error in input i is best spread over those behind it. Damped more where the matrix stays
/// singular.
at::Tensor compensation_factor(const at::Tensor& gram, double damping);

/// The same of G = X^T X for few rows X [rows, inputs] beside the inputs, from the rows: d + X^T X
/// of the inputs from i on has the inverse (1 - X^T (d + X X^T)^-1 X) / d (Woodbury), whose matrix
/// of rows grows by one input at a time (Sherman and Morrison). [1, inputs, inputs].
at::Tensor compensation_factor_of_rows(const at::Tensor& x, double damping);

/// One input after the other in their own order; what rounding one has done to the outputs is made
/// up for by those that follow (Hassibi and Stork, "Second order derivatives for network pruning:
/// Optimal Brain Surgeon", 1992; for quantization Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ",
/// 2022). `factor`: compensation_factor(). The result does not depend on `threads`.
at::Tensor round_compensated(const at::Tensor& weights, const at::Tensor& factor,
                             const WeightGrid& grid, int threads);

/// The grid with scales that cut at most eight steps, and half, off the largest weight, each the
/// one of least sum of importance * (W - round(W))^2 over the weights that share it (Nagel et al.,
/// "A White Paper on Neural Network Quantization", 2021, section 3.1, MSE; the importance of an
/// input, the diagonal of its Gram matrix, as in OBQ). `importance`: [groups, inputs]; scales
/// [groups or 1, outputs or 1, 1], float32.
WeightGrid clipped_grid(const at::Tensor& weights, const at::Tensor& importance,
                        const WeightGrid& grid);

}  // namespace lathe
