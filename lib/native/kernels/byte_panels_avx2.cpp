// The byte product on 256-bit vectors: bytes become 16 bits wide, so that nothing saturates.
#include <immintrin.h>

#include "kernels/byte_panels_variants.h"

#pragma GCC target("avx2")

namespace lathe {
namespace {

constexpr int64_t kLanes = 16;

/// One line (16 columns) of `kRows` rows. A vector of sums has two for each of four columns.
template <int kRows>
using Sums = __m256i[kRows][4];

// Four of the depth, or the fewer that `bytes` says. Not a lambda: what one captures is stored at
// every step.
template <int kRows>
[[gnu::always_inline]] inline void add_word(const uint8_t* const (&row)[kRows], int64_t k,
                                            size_t bytes, const int8_t* weights,
                                            Sums<kRows>& sums) {
  __m256i column[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v)
    column[v] =
        _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights + 16 * v)));
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
    int32_t four = 0;
    __builtin_memcpy(&four, row[r] + 4 * k, bytes);
    const __m256i x = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v)
      sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(x, column[v]));
  }
}

template <int kRows>
[[gnu::noinline]] void add_tail(const BytePanel& panel, const uint8_t* const (&row)[kRows],
                                const int8_t* weights, Sums<kRows>& sums) {
  add_word<kRows>(row, panel.words, static_cast<size_t>(panel.tail), weights, sums);
}

template <int kRows>
void sum_line(const BytePanel& panel, const uint8_t* const* rows, int64_t line, int32_t* to) {
  Sums<kRows> sums;
  const uint8_t* row[kRows];
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
    row[r] = rows[r];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[r][v] = _mm256_setzero_si256();
  }
  const int8_t* weights = panel.weights + line * 64;
  for (int64_t k = 0; k < panel.words; ++k, weights += panel.lines * 64)
    add_word<kRows>(row, k, 4, weights, sums);
  // A copy, so that the sums themselves need no address and stay in registers above.
  Sums<kRows> kept;
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) kept[r][v] = sums[r][v];
  if (panel.tail > 0) add_tail<kRows>(panel, row, weights, kept);
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const __m256i both = _mm256_hadd_epi32(kept[r][2 * v], kept[r][2 * v + 1]);
      int32_t* place = to + r * kMostPanelColumns + line * kLanes + 8 * v;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(place),
                          _mm256_permute4x64_epi64(both, 0b11'01'10'00));
    }
}

}  // namespace

void sum_bytes_avx2(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                    int32_t* sums) {
  for (int64_t line = 0; line < panel.lines; ++line) {
    int64_t r = 0;
    for (; r + 2 <= count; r += 2) sum_line<2>(panel, rows + r, line, sums + r * kMostPanelColumns);
    if (r < count) sum_line<1>(panel, rows + r, line, sums + r * kMostPanelColumns);
  }
}

}  // namespace lathe
