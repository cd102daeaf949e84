// The float product on 256-bit vectors with fused multiply-add.
#include <immintrin.h>

#include "kernels/float_panels_variants.h"

#pragma GCC target("avx2,fma")

namespace lathe {
namespace {

/// `kRows` rows and the lines `line` and `line + 1` of a panel (kVectors / 2 of them).
template <int kRows, int kVectors>
void multiply_tile(const FloatPanel& panel, const MatrixRows& rows, int64_t first, int64_t line) {
  __m256 sums[kRows][kVectors];
  const float* row[kRows];
  const int64_t column = panel.first + line * kFloatLanes;
#pragma GCC unroll 3
  for (int r = 0; r < kRows; ++r) {
    row[r] = rows.rows[first + r];
    const float* initial = rows.initial + (first + r) * rows.initial_pitch + column;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm256_loadu_ps(initial + 8 * v);
  }
  const float* weights = panel.weights + line * kFloatLanes;
  const int64_t pitch = panel.lines * kFloatLanes;
  for (int64_t k = 0; k < panel.depth; ++k, weights += pitch) {
#pragma GCC unroll 3
    for (int r = 0; r < kRows; ++r) {
      const __m256 x = _mm256_set1_ps(row[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        sums[r][v] = _mm256_fmadd_ps(x, _mm256_load_ps(weights + 8 * v), sums[r][v]);
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < kRows; ++r) {
    float* output = rows.output + (first + r) * rows.output_pitch + column;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(output + 8 * v, sums[r][v]);
  }
}

template <int kVectors>
void multiply_lines(const FloatPanel& panel, const MatrixRows& rows, int64_t line) {
  int64_t r = 0;
  for (; r + 3 <= rows.count; r += 3) multiply_tile<3, kVectors>(panel, rows, r, line);
  if (rows.count - r == 2) multiply_tile<2, kVectors>(panel, rows, r, line);
  if (rows.count - r == 1) multiply_tile<1, kVectors>(panel, rows, r, line);
}

}  // namespace

void multiply_panel_avx2(const FloatPanel& panel, const MatrixRows& rows) {
  int64_t line = 0;
  for (; line + 2 <= panel.lines; line += 2) multiply_lines<4>(panel, rows, line);
  if (line < panel.lines) multiply_lines<2>(panel, rows, line);
}

}  // namespace lathe
