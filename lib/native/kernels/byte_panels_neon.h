// The byte product on 128-bit vectors of 64-bit Arm, for the file that names its instructions: Sums
// is what they add. Bytes are taken as signed, 128 less.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "kernels/byte_panels_variants.h"

namespace lathe {
namespace {

constexpr int kVectors = 4;  // of a line

/// One line (16 columns) of `kRows` rows.
template <class Sums, int kRows>
void sum_line(const BytePanel& panel, const uint8_t* const* rows, int64_t line, int32_t* to) {
  Sums sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v].begin(vdupq_n_s32(0));
  const int8_t* weights = panel.weights + line * 64;
  const int64_t pitch = panel.lines * 64;
  int8x16_t x[kRows];
  int64_t word = 0;
  for (; word + 4 <= panel.words; word += 4, weights += 4 * pitch) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      x[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(rows[r] + 4 * word), vdupq_n_u8(128)));
    Sums::template add<0>(sums, weights, x);
    Sums::template add<1>(sums, weights + pitch, x);
    Sums::template add<2>(sums, weights + 2 * pitch, x);
    Sums::template add<3>(sums, weights + 3 * pitch, x);
  }
  const auto add_word = [&](size_t bytes) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      uint32_t four = 0;
      std::memcpy(&four, rows[r] + 4 * word, bytes);
      x[r] = vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080U));
    }
    Sums::template add<0>(sums, weights, x);
  };
  for (; word < panel.words; ++word, weights += pitch) add_word(4);
  if (panel.tail > 0) add_word(static_cast<size_t>(panel.tail));
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      vst1q_s32(to + r * kMostPanelColumns + line * 16 + 4 * v, sums[r][v].total(vdupq_n_s32(0)));
}

template <class Sums, int kRows = Sums::rows(kVectors)>
void sum_some(int64_t count, const BytePanel& panel, const uint8_t* const* rows, int64_t line,
              int32_t* to) {
  if (count == kRows) return sum_line<Sums, kRows>(panel, rows, line, to);
  if constexpr (kRows > 1) sum_some<Sums, kRows - 1>(count, panel, rows, line, to);
}

template <class Sums>
void sum_panel(const BytePanel& panel, const uint8_t* const* rows, int64_t count, int32_t* sums) {
  constexpr int64_t kMost = Sums::rows(kVectors);
  const int64_t tiles = (count + kMost - 1) / kMost;
  for (int64_t line = 0; line < panel.lines; ++line)
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = count * t / tiles;
      sum_some<Sums>(count * (t + 1) / tiles - begin, panel, rows + begin, line,
                     sums + begin * kMostPanelColumns);
    }
}

}  // namespace
}  // namespace lathe
