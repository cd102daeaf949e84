// Rounding of a layer's weight matrix onto its integers so that the layer's outputs, not its
// weights, change least. Weights are [groups, outputs, inputs], everything in double; a result
// holds multiples of its scales. The outputs' squared error of rounding W to Q is
//   sum over rows x of ||(Q - W) x||^2 = trace((Q - W) G (Q - W)^T),  G = X^T X.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace lathe {

/// Symmetric integers -qmax..qmax times scales, which broadcast to the weights' shape.
struct WeightGrid {
  at::Tensor scale;
  double qmax = 127;
};

/// Every weight by itself, half to even.
at::Tensor round_to_nearest(const at::Tensor& weights, const WeightGrid& grid);

/// One input after the other in their own order; what rounding one has done to the outputs is made
/// up for by those that follow (Hassibi and Stork, "Second order derivatives for network pruning:
/// Optimal Brain Surgeon", 1992; for quantization Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ",
/// 2022). `gram`: [groups, inputs, inputs]; `damping` times its mean diagonal is added to the
/// diagonal, more where it stays singular. The result does not depend on `threads`.
at::Tensor round_compensated(const at::Tensor& weights, const at::Tensor& gram,
                             const WeightGrid& grid, double damping, int threads);

/// Starts from `rounded` and moves single weights to other integers as long as the outputs' error
/// falls, at most `sweeps` times over all inputs (coordinate descent; Behdin et al., "QuantEase",
/// 2023).
at::Tensor descend_rounding(const at::Tensor& weights, const at::Tensor& rounded,
                            const at::Tensor& gram, const WeightGrid& grid, int sweeps,
                            int threads);

/// trace((Q - W) G (Q - W)^T) of every output: [groups, outputs].
at::Tensor rounding_errors(const at::Tensor& weights, const at::Tensor& rounded,
                           const at::Tensor& gram);

}  // namespace lathe
