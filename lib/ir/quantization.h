// Arithmetic of affine integer quantization as ONNX defines it for QuantizeLinear:
//   q = saturate(round_half_even(x / scale) + zero_point),  x' = (q - zero_point) * scale.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/dtype.h"

namespace lathe {

/// Parameters of one quantized value. Per-tensor: one scale and axis -1. Per-channel: one scale
/// and zero point per index of `axis`.
struct QuantParams {
  DType dtype = DType::kUInt8;
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  int64_t axis = -1;
  bool operator==(const QuantParams&) const = default;
};

struct ScaleZeroPoint {
  float scale = 1;
  int32_t zero_point = 0;
  bool operator==(const ScaleZeroPoint&) const = default;
};

/// Asymmetric parameters that map [min, max], widened to hold 0, onto [qmin, qmax]; the zero point
/// is exact. An all-zero, NaN or infinite range gives scale 1 (the value is then constant zero or
/// cannot be quantized: callers check before). scale is never denormal.
ScaleZeroPoint choose_asymmetric(double min, double max, int32_t qmin, int32_t qmax);

/// Symmetric parameters with zero point 0: scale = max_abs / qmax, 1 for max_abs 0.
ScaleZeroPoint choose_symmetric(double max_abs, int32_t qmax);

/// round_half_even(x / scale) + zero_point, saturated to [qmin, qmax]; NaN becomes zero_point.
int32_t quantize(float x, float scale, int32_t zero_point, int32_t qmin, int32_t qmax);

inline float dequantize(int32_t q, float scale, int32_t zero_point) {
  return static_cast<float>(q - zero_point) * scale;
}

}  // namespace lathe
