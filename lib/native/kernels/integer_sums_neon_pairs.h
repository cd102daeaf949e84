// Sums of products of bytes without dot products (Armv8.0): products of 8 bits, added in pairs.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace lathe {
namespace {

struct PairSums {
  // Two columns each, of a column two halves.
  int32x4_t low, high;

  static constexpr int rows(int vectors) { return vectors >= 3 ? 2 : vectors == 2 ? 4 : 6; }
  void begin(int32x4_t) { low = high = vdupq_n_s32(0); }
  int32x4_t total(int32x4_t start) const { return vaddq_s32(vpaddq_s32(low, high), start); }

  /// Four elements of the depth, those at place kFour of `x`.
  template <int kFour, int kRows, int kVectors>
  [[gnu::always_inline]] static void add(PairSums (&sums)[kRows][kVectors], const int8_t* weights,
                                         const int8x16_t (&x)[kRows]) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto four = vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(x[r]), kFour));
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int8x16_t w = vld1q_s8(weights + 16 * v);
        PairSums& one = sums[r][v];
        one.low = vpadalq_s16(one.low, vmull_s8(vget_low_s8(w), vget_low_s8(four)));
        one.high = vpadalq_s16(one.high, vmull_high_s8(w, four));
      }
    }
  }
};

}  // namespace
}  // namespace lathe
