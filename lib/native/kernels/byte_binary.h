// Sums and products of two uint8 rows with the quantization of the result folded into factors:
//   add: q = clamp(round(a * factor_a + b * factor_b + term), low, high)
//   mul: q = clamp(round((a - zero_a) * (b - zero_b) * factor_a + term), low, high)
// Rounding is half to even and fused as fma(a, factor_a, fma(b, factor_b, term)) and
// fma(product, factor_a, term), so all processors give the same bytes.
#pragma once

#include <cstdint>

namespace lathe {

struct ByteBinary {
  bool multiply = false;
  float factor_a = 1;
  float factor_b = 1;
  float term = 0;
  int32_t zero_a = 0;
  int32_t zero_b = 0;
  uint8_t low = 0;
  uint8_t high = 255;
};

/// Adds or multiplies `count` neighbouring elements. `to` may be `a` or `b`.
void run_byte_binary(const ByteBinary& binary, const uint8_t* a, const uint8_t* b, uint8_t* to,
                     int64_t count);

}  // namespace lathe
