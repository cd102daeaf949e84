// Scales of constant weights and biases, and the integers themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/quantization.h"
#include "ir/tensor.h"

namespace lathe {

/// Symmetric parameters of a float32 weight: one scale per index of `axis`, or one for all (-1),
/// from the largest magnitude. int8 uses -127..127, with `reduce_range` -63..63; int4 -7..7.
/// (Scales of least squared error were tried on MobileNetV2: 0.1 dB worse at the logits.)
QuantParams weight_params(const Tensor& weight, DType dtype, int64_t axis,
                          bool reduce_range = false);

/// Scale input_scale * weight scale, zero point 0, int32, along axis 0.
QuantParams bias_params(const QuantParams& weight, float input_scale);

/// Biases stay below this many steps: sums of products have room besides.
constexpr double kLargestBias = 1 << 30;

/// Raises weight scales so far that every bias fits into 30 bits at the scale of bias_params():
/// channels whose weights are (nearly) zero would otherwise saturate their bias. `bias` has one
/// element per scale, or any number with one scale for all.
void widen_for_bias(QuantParams& weight, const Tensor& bias, float input_scale);

/// The largest integer of a symmetric weight: 127, 63 with `reduce_range`, 7 for int4.
int32_t weight_qmax(DType dtype, bool reduce_range);

/// float32 `tensor` as integers of `params`. The result has the tensor's shape; 4-bit integers are
/// packed two to a byte, the first in the low bits.
Tensor quantize_tensor(const Tensor& tensor, const QuantParams& params, bool reduce_range = false);

/// `integers`, which fit the integer type `dtype` of at most 32 bits, in its raw layout.
Tensor integer_tensor(DType dtype, const Shape& shape, const std::vector<int32_t>& integers);

/// Throws Error (exit 3) that names `place` when a float32 tensor holds NaN or infinity.
void check_finite_weight(const Tensor& tensor, const std::string& place);

}  // namespace lathe
