// GCC 12's AVX-512 headers look as if they read what is not set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "kernels/byte_binary_variants.h"

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq")

namespace lathe {
namespace {

// Packing instructions work within 128 bits, and so do these: what they take apart comes together
// in order.
[[gnu::always_inline]] inline void widened(__m512i bytes, __m512i (&wide)[4]) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i low = _mm512_unpacklo_epi8(bytes, zero);
  const __m512i high = _mm512_unpackhi_epi8(bytes, zero);
  wide[0] = _mm512_unpacklo_epi16(low, zero);
  wide[1] = _mm512_unpackhi_epi16(low, zero);
  wide[2] = _mm512_unpacklo_epi16(high, zero);
  wide[3] = _mm512_unpackhi_epi16(high, zero);
}

[[gnu::always_inline]] inline __m512i narrowed(const __m512 (&real)[4]) {
  return _mm512_packus_epi16(
      _mm512_packs_epi32(_mm512_cvtps_epi32(real[0]), _mm512_cvtps_epi32(real[1])),
      _mm512_packs_epi32(_mm512_cvtps_epi32(real[2]), _mm512_cvtps_epi32(real[3])));
}

struct Factors {
  __m512 a;
  __m512 b;
  __m512 term;
  __m512i zero_a;
  __m512i zero_b;
  __m512i low;
  __m512i high;
};

[[gnu::always_inline]] inline __m512i clamped(__m512i bytes, const Factors& k) {
  return _mm512_min_epu8(_mm512_max_epu8(bytes, k.low), k.high);
}

[[gnu::always_inline]] inline __m512i sum(__m512i a, __m512i b, const Factors& k) {
  __m512i wide_a[4];
  __m512i wide_b[4];
  widened(a, wide_a);
  widened(b, wide_b);
  __m512 real[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v)
    real[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(wide_a[v]), k.a,
                              _mm512_fmadd_ps(_mm512_cvtepi32_ps(wide_b[v]), k.b, k.term));
  return clamped(narrowed(real), k);
}

[[gnu::always_inline]] inline __m512i product(__m512i a, __m512i b, const Factors& k) {
  const __m512i zero = _mm512_setzero_si512();
  __m512 real[4];
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m512i x = _mm512_sub_epi16(
        half == 0 ? _mm512_unpacklo_epi8(a, zero) : _mm512_unpackhi_epi8(a, zero), k.zero_a);
    const __m512i y = _mm512_sub_epi16(
        half == 0 ? _mm512_unpacklo_epi8(b, zero) : _mm512_unpackhi_epi8(b, zero), k.zero_b);
    const __m512i low = _mm512_mullo_epi16(x, y);
    const __m512i high = _mm512_mulhi_epi16(x, y);
    real[2 * half] =
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_unpacklo_epi16(low, high)), k.a, k.term);
    real[2 * half + 1] =
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_unpackhi_epi16(low, high)), k.a, k.term);
  }
  return clamped(narrowed(real), k);
}

template <bool kMultiply>
[[gnu::always_inline]] inline void run(const Factors& k, const uint8_t* a, const uint8_t* b,
                                       uint8_t* to, int64_t count) {
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i x = _mm512_loadu_si512(a + i);
    const __m512i y = _mm512_loadu_si512(b + i);
    _mm512_storeu_si512(to + i, kMultiply ? product(x, y, k) : sum(x, y, k));
  }
  if (i == count) return;
  const __mmask64 rest = (__mmask64{1} << (count - i)) - 1;
  const __m512i x = _mm512_maskz_loadu_epi8(rest, a + i);
  const __m512i y = _mm512_maskz_loadu_epi8(rest, b + i);
  _mm512_mask_storeu_epi8(to + i, rest, kMultiply ? product(x, y, k) : sum(x, y, k));
}

}  // namespace

void run_byte_binary_avx512(const ByteBinary& binary, const uint8_t* a, const uint8_t* b,
                            uint8_t* to, int64_t count) {
  const Factors k = {_mm512_set1_ps(binary.factor_a),
                     _mm512_set1_ps(binary.factor_b),
                     _mm512_set1_ps(binary.term),
                     _mm512_set1_epi16(static_cast<int16_t>(binary.zero_a)),
                     _mm512_set1_epi16(static_cast<int16_t>(binary.zero_b)),
                     _mm512_set1_epi8(static_cast<char>(binary.low)),
                     _mm512_set1_epi8(static_cast<char>(binary.high))};
  if (binary.multiply)
    run<true>(k, a, b, to, count);
  else
    run<false>(k, a, b, to, count);
}

}  // namespace lathe
