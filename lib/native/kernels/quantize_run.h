// Conversions of neighbouring elements, with one scale or with one for each element.
#pragma once

#include <cstdint>

#include "kernels/element.h"

namespace lathe {

/// Scale and zero point of the elements: element i has number i * step (0 or 1).
struct RunScale {
  const float* scale = nullptr;
  const int32_t* zero_point = nullptr;
  int64_t step = 0;
};

/// q = saturate(round_half_even(x / scale) + zero_point) to uint8 or int8; NaN: the zero point.
void quantize_run(const float* from, void* to, ElementType type, int64_t count, RunScale scale);
/// (q - zero_point) * scale of uint8, int8 or int32.
void dequantize_run(const void* from, ElementType type, float* to, int64_t count, RunScale scale);

}  // namespace lathe
