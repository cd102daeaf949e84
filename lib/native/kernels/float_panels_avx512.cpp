// The float product on 512-bit vectors.
#include <immintrin.h>

#include <utility>

#include "kernels/float_panels_variants.h"

// GCC 12's own intrinsics start from a variable without a value.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq")

namespace lathe {
namespace {

// Sums stay in registers: rows x lines is 24 at most.
constexpr int64_t kMostRows = 6;

template <int kRows, int kLines>
void multiply_tile(const FloatPanel& panel, const MatrixRows& rows, int64_t first) {
  __m512 sums[kRows][kLines];
  const float* row[kRows];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    row[r] = rows.rows[first + r];
    const float* initial = rows.initial + (first + r) * rows.initial_pitch + panel.first;
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v) sums[r][v] = _mm512_loadu_ps(initial + 16 * v);
  }
  const float* weights = panel.weights;
  for (int64_t k = 0; k < panel.depth; ++k, weights += 16 * kLines) {
    __m512 column[kLines];
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v) column[v] = _mm512_load_ps(weights + 16 * v);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m512 x = _mm512_set1_ps(row[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < kLines; ++v) sums[r][v] = _mm512_fmadd_ps(x, column[v], sums[r][v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    float* output = rows.output + (first + r) * rows.output_pitch + panel.first;
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v) _mm512_storeu_ps(output + 16 * v, sums[r][v]);
  }
}

using MultiplyTile = void (*)(const FloatPanel&, const MatrixRows&, int64_t);

template <int kLines, int... kRows>
void multiply_lines(const FloatPanel& panel, const MatrixRows& rows,
                    std::integer_sequence<int, kRows...>) {
  static constexpr MultiplyTile kTiles[] = {multiply_tile<kRows + 1, kLines>...};
  const int64_t tiles = (rows.count + kMostRows - 1) / kMostRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t begin = rows.count * t / tiles;
    const int64_t end = rows.count * (t + 1) / tiles;
    kTiles[end - begin - 1](panel, rows, begin);
  }
}

}  // namespace

void multiply_panel_avx512(const FloatPanel& panel, const MatrixRows& rows) {
  constexpr auto kRows = std::make_integer_sequence<int, kMostRows>{};
  switch (panel.lines) {
    case 1: return multiply_lines<1>(panel, rows, kRows);
    case 2: return multiply_lines<2>(panel, rows, kRows);
    case 3: return multiply_lines<3>(panel, rows, kRows);
    default: return multiply_lines<4>(panel, rows, kRows);
  }
}

}  // namespace lathe
