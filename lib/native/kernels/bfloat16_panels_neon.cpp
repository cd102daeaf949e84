// The bfloat16 product by BFMMLA: two rows with two columns, four of the depth, in one instruction.
#pragma GCC target("arch=armv8.2-a+bf16")

#include <arm_neon.h>

#include "kernels/bfloat16_panels_variants.h"

namespace lathe {
namespace {

constexpr int kPairsOfColumns = 8;  // of a panel of 16 columns
constexpr int kMostPairs = 3;       // of rows: their sums stay in registers

[[gnu::always_inline]] inline bfloat16x8_t fours(const uint16_t* first, const uint16_t* second) {
  return vreinterpretq_bf16_u16(vcombine_u16(vld1_u16(first), vld1_u16(second)));
}

/// Rows `first` to `first` + 2 kPairs, of which `count` are there; the last one stands for others.
template <int kPairs>
void multiply_tile(const BFloat16Product& product, const BFloat16Rows& rows, int64_t first,
                   int64_t count, int64_t column) {
  float32x4_t sums[kPairs][kPairsOfColumns];
  const uint16_t* row[2 * kPairs];
#pragma GCC unroll 8
  for (int r = 0; r < 2 * kPairs; ++r) row[r] = rows.rows[first + (r < count ? r : count - 1)];
#pragma GCC unroll 4
  for (int p = 0; p < kPairs; ++p) {
    const int64_t second = 2 * p + 1 < count ? 2 * p + 1 : count - 1;
    const float* upper = rows.initial + (first + 2 * p) * rows.initial_pitch + column;
    const float* lower = rows.initial + (first + second) * rows.initial_pitch + column;
#pragma GCC unroll 8
    for (int c = 0; c < kPairsOfColumns; ++c)
      sums[p][c] = vcombine_f32(vld1_f32(upper + 2 * c), vld1_f32(lower + 2 * c));
  }
  const uint16_t* weights = product.lines->x + column * product.depth;
  for (int64_t k = 0; k < product.depth; k += 4, weights += 8 * kPairsOfColumns) {
    bfloat16x8_t x[kPairs];
#pragma GCC unroll 4
    for (int p = 0; p < kPairs; ++p) x[p] = fours(row[2 * p] + k, row[2 * p + 1] + k);
#pragma GCC unroll 8
    for (int c = 0; c < kPairsOfColumns; ++c) {
      const bfloat16x8_t w = vreinterpretq_bf16_u16(vld1q_u16(weights + 8 * c));
#pragma GCC unroll 4
      for (int p = 0; p < kPairs; ++p) sums[p][c] = vbfmmlaq_f32(sums[p][c], x[p], w);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPairs; ++p) {
    float* upper = rows.output + (first + 2 * p) * rows.output_pitch + column;
    float* lower = upper + rows.output_pitch;
#pragma GCC unroll 8
    for (int c = 0; c < kPairsOfColumns; ++c) {
      vst1_f32(upper + 2 * c, vget_low_f32(sums[p][c]));
      if (2 * p + 1 < count) vst1_f32(lower + 2 * c, vget_high_f32(sums[p][c]));
    }
  }
}

}  // namespace

void multiply_bfloat16_neon(const BFloat16Product& product, const BFloat16Rows& rows) {
  for (int64_t column = 0; column < product.columns; column += kFloatLanes)
    for (int64_t first = 0; first < rows.count; first += 2 * kMostPairs) {
      const int64_t left = rows.count - first;
      if (left > 4)
        multiply_tile<3>(product, rows, first, left < 6 ? left : 6, column);
      else if (left > 2)
        multiply_tile<2>(product, rows, first, left, column);
      else
        multiply_tile<1>(product, rows, first, left, column);
    }
}

}  // namespace lathe
