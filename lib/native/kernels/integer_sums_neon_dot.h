// Sums of products of bytes by SDOT (Armv8.2), for files that are compiled for it.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace lathe {
namespace {

struct DotSums {
  int32x4_t sums;

  static constexpr int rows(int vectors) { return vectors == 4 ? 5 : vectors == 3 ? 6 : 8; }
  void begin(int32x4_t start) { sums = start; }
  int32x4_t total(int32x4_t) const { return sums; }

  /// Four elements of the depth, those at place kFour of `x`.
  template <int kFour, int kRows, int kVectors>
  [[gnu::always_inline]] static void add(DotSums (&sums)[kRows][kVectors], const int8_t* weights,
                                         const int8x16_t (&x)[kRows]) {
    int8x16_t w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = vld1q_s8(weights + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        sums[r][v].sums = vdotq_laneq_s32(sums[r][v].sums, w[v], x[r], kFour);
  }
};

}  // namespace
}  // namespace lathe
