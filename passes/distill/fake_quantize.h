// Fake quantization: what QuantizeLinear and DequantizeLinear make of a value, with gradients, so
// that training sees the errors that integers will bring.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace lathe {

/// The integers of a value relative to its zero point, and the gradients of rounding.
struct FakeQuantization {
  int32_t low = -127;  // qmin - zero point; |low| and |high| below 2^22
  int32_t high = 127;  // qmax - zero point
  int64_t axis = -1;   // that the scales lie along; -1: one scale
  /// Gradients stop at values beyond the integers. False: they pass everywhere, for scales that
  /// follow the largest value.
  bool stop_beyond = true;
  /// Factor of the scale's gradient, see step_gradient_factor().
  double step_gradient = 1;
};

/// clamp(round_half_even(x / scale), low, high) * scale, bit for bit as lathe computes
/// QuantizeLinear and DequantizeLinear; NaN stays NaN, so that training notices it. `x` float32 or
/// float64 (others are computed in float32); `scale` positive, of one element or one per index of
/// the axis, in the type of `x` or float32.
/// Gradients, with v = x / scale and a straight-through estimate of rounding (Esser et al.,
/// "Learned Step Size Quantization", ICLR 2020, equations 3 and 5; with a zero point those of
/// Bhalgat et al., "LSQ+", 2020):
///   d/dx = 1 where low < v < high, else 0;
///   d/dscale = step_gradient * sum of (round(v) - v | low | high), by where v is.
/// The same bytes for any number of threads.
at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, const FakeQuantization& how);

/// 1 / sqrt(elements * largest integer), the paper's section 2.2: keeps steps of scales in
/// proportion to those of weights. `elements`: that share a scale; of activations in one sample.
double step_gradient_factor(int64_t elements, const FakeQuantization& how);

/// Scales for symmetric integers -qmax..qmax from the largest magnitude, equal to weight_params()
/// in every bit for float32; no gradient. `axis` -1: one scale (rank 0), else one per index.
at::Tensor following_scale(const at::Tensor& weight, int32_t qmax, int64_t axis);

/// A positive scale that is learned: initial * exp(logarithm), at most `most` (0: no bound).
/// A step of the optimizer changes the scale by the share by which LSQ's own step would: the
/// logarithm's gradient is d/dscale divided by (not times) the scale. At the bound it only pulls
/// down.
at::Tensor learned_scale(const at::Tensor& logarithm, const at::Tensor& initial, double most = 0);

}  // namespace lathe
