// GCC 12's AVX-512 headers look as if they read what is not set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "kernels/lookup_variants.h"

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq")

namespace lathe {
namespace {

inline __mmask64 first_bytes(int64_t count) {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

}  // namespace

void lookup_row_shuffle(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  __m512i entries[16];
  for (int i = 0; i < 16; ++i)
    entries[i] =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
  for (int64_t i = 0; i < width; i += 64) {
    const __mmask64 inside = first_bytes(width - i);
    const __m512i index = _mm512_maskz_loadu_epi8(inside, from + i);
    const __m512i column = _mm512_and_si512(index, _mm512_set1_epi8(15));
    const __m512i row = _mm512_and_si512(_mm512_srli_epi16(index, 4), _mm512_set1_epi8(15));
    __m512i result = _mm512_shuffle_epi8(entries[0], column);
#pragma GCC unroll 15
    for (int r = 1; r < 16; ++r)
      result = _mm512_mask_shuffle_epi8(
          result, _mm512_cmpeq_epi8_mask(row, _mm512_set1_epi8(static_cast<char>(r))), entries[r],
          column);
    _mm512_mask_storeu_epi8(to + i, inside, result);
  }
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]] void lookup_row_permute(
    const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  const __m512i a = _mm512_loadu_si512(table);
  const __m512i b = _mm512_loadu_si512(table + 64);
  const __m512i c = _mm512_loadu_si512(table + 128);
  const __m512i d = _mm512_loadu_si512(table + 192);
  int64_t i = 0;
  for (; i <= width - 64; i += 64) {
    const __m512i index = _mm512_loadu_si512(from + i);
    _mm512_storeu_si512(to + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index),
                                                       _mm512_permutex2var_epi8(a, index, b),
                                                       _mm512_permutex2var_epi8(c, index, d)));
  }
  if (i == width) return;
  const __mmask64 inside = first_bytes(width - i);
  const __m512i index = _mm512_maskz_loadu_epi8(inside, from + i);
  _mm512_mask_storeu_epi8(
      to + i, inside,
      _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), _mm512_permutex2var_epi8(a, index, b),
                             _mm512_permutex2var_epi8(c, index, d)));
}

}  // namespace lathe
