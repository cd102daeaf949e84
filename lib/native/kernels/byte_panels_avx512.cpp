// The byte product on 512-bit vectors with VNNI.
#include <immintrin.h>

#include <utility>

#include "kernels/byte_panels_variants.h"

// GCC 12's own intrinsics start from a variable without a value.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace lathe {
namespace {

template <int kRows, int kLines>
using Sums = __m512i[kRows][kLines];

// Without a lambda: what one captures is stored at every step.
template <int kRows, int kLines>
[[gnu::always_inline]] inline void add_word(const uint8_t* const (&row)[kRows], int64_t k,
                                            const int8_t* weights, Sums<kRows, kLines>& sums) {
  __m512i column[kLines];
#pragma GCC unroll 4
  for (int v = 0; v < kLines; ++v) column[v] = _mm512_load_si512(weights + 64 * v);
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    int32_t four = 0;
    __builtin_memcpy(&four, row[r] + 4 * k, 4);
    const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v) sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], x, column[v]);
  }
}

template <int kRows, int kLines>
[[gnu::noinline]] void add_tail(const BytePanel& panel, const uint8_t* const (&row)[kRows],
                                const int8_t* weights, Sums<kRows, kLines>& sums) {
  for (int r = 0; r < kRows; ++r) {
    int32_t four = 0;
    __builtin_memcpy(&four, row[r] + 4 * panel.words, static_cast<size_t>(panel.tail));
    for (int v = 0; v < kLines; ++v)
      sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], _mm512_set1_epi32(four),
                                       _mm512_load_si512(weights + 64 * v));
  }
}

template <int kRows, int kLines>
void sum_tile(const BytePanel& panel, const uint8_t* const* rows, int32_t* to) {
  Sums<kRows, kLines> sums;
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v) sums[r][v] = _mm512_setzero_si512();
  const uint8_t* row[kRows];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) row[r] = rows[r];
  const int8_t* weights = panel.weights;
  for (int64_t k = 0; k < panel.words; ++k, weights += 64 * kLines)
    add_word<kRows, kLines>(row, k, weights, sums);
  // A copy, so that the sums themselves need no address and stay in registers above.
  Sums<kRows, kLines> kept;
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v) kept[r][v] = sums[r][v];
  if (panel.tail > 0) add_tail<kRows, kLines>(panel, row, weights, kept);
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kLines; ++v)
      _mm512_store_si512(to + r * kMostPanelColumns + 16 * v, kept[r][v]);
}

using SumTile = void (*)(const BytePanel&, const uint8_t* const*, int32_t*);

template <int kLines, int... kRows>
SumTile tile_of(int64_t count, std::integer_sequence<int, kRows...>) {
  static constexpr SumTile kTiles[] = {sum_tile<kRows + 1, kLines>...};
  return kTiles[count - 1];
}

}  // namespace

void sum_bytes_avx512(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                      int32_t* sums) {
  constexpr auto kRows = std::make_integer_sequence<int, kMostByteRows>{};
  switch (panel.lines) {
    case 1: return tile_of<1>(count, kRows)(panel, rows, sums);
    case 2: return tile_of<2>(count, kRows)(panel, rows, sums);
    case 3: return tile_of<3>(count, kRows)(panel, rows, sums);
    default: return tile_of<4>(count, kRows)(panel, rows, sums);
  }
}

}  // namespace lathe
