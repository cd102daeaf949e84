// Rounding of floats in loops that the compiler vectorizes for every processor.
#pragma once

#include <bit>
#include <cstdint>

namespace lathe {

/// 1.5 * 2^23: a float of at most 2^22 plus this has its units in the last place, so the addition
/// rounds it half to even.
constexpr float kRoundingTerm = 12582912.0f;

[[gnu::always_inline]] inline float between(float x, float least, float greatest) {
  x = x < least ? least : x;
  return x > greatest ? greatest : x;
}

/// Half to even; |x| up to 2^22.
[[gnu::always_inline]] inline float rounded(float x) { return (x + kRoundingTerm) - kRoundingTerm; }

/// Half to even; |x| up to 2^22. Any number for NaN.
[[gnu::always_inline]] inline int32_t rounded_number(float x) {
  return static_cast<int32_t>(std::bit_cast<uint32_t>(x + kRoundingTerm) -
                              std::bit_cast<uint32_t>(kRoundingTerm));
}

/// a - b as ONNX Runtime takes it: in int32 for the 8-bit types and wrapping for int32.
[[gnu::always_inline]] inline float difference_of(int32_t a, int32_t b) {
  return static_cast<float>(
      static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b)));
}

}  // namespace lathe
