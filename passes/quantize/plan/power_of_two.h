// Scales that are powers of two, for devices that requantize with shifts alone. ESP-DL is one:
// "symmetric quantization + POWER OF TWO" (Espressif, ESP-DL documentation, How to quantize model).
#pragma once

#include "calibration/choose_range.h"
#include "ir/quantization.h"
#include "ir/tensor.h"

namespace lathe {

/// The smallest power of two that is not below a positive finite scale.
float power_of_two_above(float scale);
bool is_power_of_two(float scale);

/// The power of two above or below `scale` whose grid leaves the smaller error on the histogram:
/// above, nothing more is clipped; below, the steps are half as large. Zero point 0.
float power_of_two_for(const Histogram& histogram, float scale, int32_t qmin, int32_t qmax);

/// The same for symmetric weight parameters, scale by scale, by the squared error of `weight`
/// (float32) in -qmax..qmax.
void round_weight_scales(const Tensor& weight, int32_t qmax, QuantParams& params);

}  // namespace lathe
