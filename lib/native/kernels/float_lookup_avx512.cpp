// GCC 12's AVX-512 headers look as if they read what is not set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "kernels/lookup_variants.h"

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")

namespace lathe {
namespace {

struct Plane {
  __m512i quarters[4];
};

[[gnu::always_inline]] inline Plane plane_at(const uint8_t* bytes) {
  return {_mm512_load_si512(bytes), _mm512_load_si512(bytes + 64), _mm512_load_si512(bytes + 128),
          _mm512_load_si512(bytes + 192)};
}

[[gnu::always_inline]] inline __m512i looked_up(const Plane& plane, __m512i index) {
  return _mm512_mask_blend_epi8(
      _mm512_movepi8_mask(index),
      _mm512_permutex2var_epi8(plane.quarters[0], index, plane.quarters[1]),
      _mm512_permutex2var_epi8(plane.quarters[2], index, plane.quarters[3]));
}

struct Floats {
  __m512i parts[4];
};

// 64 entries in sequence: bytes from four planes, side by side. That interleaves within 128-bit
// blocks, so block b first gets each block's four bytes number b.
[[gnu::always_inline]] inline Floats entries_at(const Plane (&planes)[4], __m512i index) {
  const __m512i blocks = _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), index);
  const __m512i a = looked_up(planes[0], blocks);
  const __m512i b = looked_up(planes[1], blocks);
  const __m512i c = looked_up(planes[2], blocks);
  const __m512i d = looked_up(planes[3], blocks);
  const __m512i low_ab = _mm512_unpacklo_epi8(a, b);
  const __m512i low_cd = _mm512_unpacklo_epi8(c, d);
  const __m512i high_ab = _mm512_unpackhi_epi8(a, b);
  const __m512i high_cd = _mm512_unpackhi_epi8(c, d);
  return {_mm512_unpacklo_epi16(low_ab, low_cd), _mm512_unpackhi_epi16(low_ab, low_cd),
          _mm512_unpacklo_epi16(high_ab, high_cd), _mm512_unpackhi_epi16(high_ab, high_cd)};
}

}  // namespace

void float_lookup_permute(const FloatTable& table, const uint8_t* from, float* to, int64_t count) {
  const Plane planes[4] = {plane_at(table.planes[0]), plane_at(table.planes[1]),
                           plane_at(table.planes[2]), plane_at(table.planes[3])};
  int64_t i = 0;
  for (; i <= count - 64; i += 64) {
    const Floats found = entries_at(planes, _mm512_loadu_si512(from + i));
    for (int k = 0; k < 4; ++k) _mm512_storeu_si512(to + i + 16 * k, found.parts[k]);
  }
  if (i == count) return;
  const __mmask64 inside = (__mmask64{1} << (count - i)) - 1;
  const Floats found = entries_at(planes, _mm512_maskz_loadu_epi8(inside, from + i));
  for (int k = 0; k < 4 && i < count; ++k, i += 16) {
    const int64_t left = count - i;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
    _mm512_mask_storeu_epi32(to + i, mask, found.parts[k]);
  }
}

}  // namespace lathe
