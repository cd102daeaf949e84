// The float product on 128-bit vectors of 64-bit Arm.
#include <arm_neon.h>

#include "kernels/float_panels_variants.h"

namespace lathe {
namespace {

constexpr int kVectors = 4;  // of a line of 16 columns
constexpr int kMostRows = 5;

template <int kPlace, int kRows>
[[gnu::always_inline]] inline void add(float32x4_t (&sums)[kRows][kVectors], const float* weights,
                                       const float32x4_t (&x)[kRows]) {
  float32x4_t w[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) w[v] = vld1q_f32(weights + 4 * v);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = vfmaq_laneq_f32(sums[r][v], w[v], x[r], kPlace);
}

/// Rows from `first` on, and one line of the panel.
template <int kRows>
[[gnu::noinline]] void multiply_tile(const FloatPanel& panel, const MatrixRows& rows, int64_t first,
                                     int64_t line) {
  float32x4_t sums[kRows][kVectors];
  const float* row[kRows];
  const int64_t column = panel.first + line * kFloatLanes;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    row[r] = rows.rows[first + r];
    const float* initial = rows.initial + (first + r) * rows.initial_pitch + column;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = vld1q_f32(initial + 4 * v);
  }
  const float* weights = panel.weights + line * kFloatLanes;
  const int64_t pitch = panel.lines * kFloatLanes;
  float32x4_t x[kRows];
  int64_t k = 0;
  for (; k + 4 <= panel.depth; k += 4, weights += 4 * pitch) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) x[r] = vld1q_f32(row[r] + k);
    add<0>(sums, weights, x);
    add<1>(sums, weights + pitch, x);
    add<2>(sums, weights + 2 * pitch, x);
    add<3>(sums, weights + 3 * pitch, x);
  }
  for (; k < panel.depth; ++k, weights += pitch) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) x[r] = vdupq_n_f32(row[r][k]);
    add<0>(sums, weights, x);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    float* output = rows.output + (first + r) * rows.output_pitch + column;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) vst1q_f32(output + 4 * v, sums[r][v]);
  }
}

template <int kRows = kMostRows>
void multiply_some(int64_t count, const FloatPanel& panel, const MatrixRows& rows, int64_t first,
                   int64_t line) {
  if (count == kRows) return multiply_tile<kRows>(panel, rows, first, line);
  if constexpr (kRows > 1) multiply_some<kRows - 1>(count, panel, rows, first, line);
}

}  // namespace

void multiply_panel_neon(const FloatPanel& panel, const MatrixRows& rows) {
  const int64_t tiles = (rows.count + kMostRows - 1) / kMostRows;
  for (int64_t line = 0; line < panel.lines; ++line)
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = rows.count * t / tiles;
      multiply_some(rows.count * (t + 1) / tiles - begin, panel, rows, begin, line);
    }
}

}  // namespace lathe
