// The 8-bit and 4-bit floating-point types of ONNX (https://onnx.ai/onnx/technical/float8.html,
// float4.html; OCP Microscaling Formats 1.0).
#pragma once

#include <cstdint>
#include <string_view>

#include "ir/dtype.h"

namespace lathe {

/// float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz, float8e8m0 and float4e2m1.
bool is_small_float(DType dtype);

/// How float8e8m0, which holds powers of two only, rounds.
enum class PowerRounding : uint8_t { kUp, kDown, kNearest };

/// The code of `value` (low 4 bits for float4e2m1), rounded to nearest even. Beyond the largest
/// finite value: that value when `saturate`, else infinity or NaN, whichever the type has;
/// float4e2m1 always saturates and has no NaN (-0 stands in, as in ONNX's reference).
/// float8e8m0 takes the magnitude. Throws InternalError unless is_small_float(dtype).
uint8_t encode_small_float(DType dtype, float value, bool saturate = true,
                           PowerRounding rounding = PowerRounding::kUp);
float decode_small_float(DType dtype, uint8_t code);

}  // namespace lathe
