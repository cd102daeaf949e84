// What becomes of sums in 256-bit vectors: see integer_epilogue.h. To be included where AVX2 and
// FMA are the target. The sums are in the order of panel_column: then bytes come out in sequence.
#pragma once

#include <immintrin.h>

#include "kernels/integer_product.h"
#include "kernels/product_activation.h"

namespace lathe {

// Byte b of the result is column b: 8 of one vector, 16 of two.
template <int kVectors>
[[gnu::always_inline]] inline __m128i narrowed(const __m256i (&q)[kVectors]) {
  const __m256i words = _mm256_packs_epi32(q[0], q[kVectors - 1]);
  const __m256i bytes = _mm256_packus_epi16(words, words);
  const __m128i first = _mm256_castsi256_si128(bytes);
  const __m128i second = _mm256_extracti128_si256(bytes, 1);
  if constexpr (kVectors == 2) return _mm_unpacklo_epi64(first, second);
  return _mm_unpacklo_epi32(first, second);
}

// The reverse: bytes in sequence to vectors of 32-bit numbers.
template <int kVectors>
[[gnu::always_inline]] inline void widened(__m128i bytes, __m256i (&wide)[kVectors]) {
  if constexpr (kVectors == 2) {
    const __m256i words = _mm256_cvtepu8_epi16(bytes);
    wide[0] = _mm256_unpacklo_epi16(words, _mm256_setzero_si256());
    wide[1] = _mm256_unpackhi_epi16(words, _mm256_setzero_si256());
  } else {
    wide[0] = _mm256_cvtepu8_epi32(bytes);
  }
}

[[gnu::always_inline]] inline __m128i bounded_bytes(__m128i bytes, uint8_t low, uint8_t high) {
  return _mm_min_epu8(_mm_max_epu8(bytes, _mm_set1_epi8(static_cast<char>(low))),
                      _mm_set1_epi8(static_cast<char>(high)));
}

[[gnu::always_inline]] inline __m256 scaled(__m256i sums, const float* scale, const float* bias) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(scale), _mm256_loadu_ps(bias));
}

// Larger numbers would become the least integer. What is not a number stays: it becomes that too.
[[gnu::always_inline]] inline __m256i rounded(__m256 y) {
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(1e6f), y));
}

// In place: sums become integers in output units, not yet clamped.
template <int kRows, int kVectors>
[[gnu::always_inline]] inline void quantize_plain(__m256i (&sums)[kRows][kVectors],
                                                  const float* scale, const float* bias) {
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const __m256 factor = _mm256_loadu_ps(scale + 8 * v);
    const __m256 term = _mm256_loadu_ps(bias + 8 * v);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      sums[r][v] =
          _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[r][v]), factor, term));
  }
}

[[gnu::always_inline]] inline __m128i through_table(__m128i index, const uint8_t* table) {
  alignas(16) uint8_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), index);
  for (uint8_t& byte : bytes) byte = table[byte];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

// `residual`: bytes in sequence, where the epilogue has one.
template <int kVectors>
[[gnu::always_inline]] inline __m128i finished_bytes(const __m256i (&sums)[kVectors],
                                                     const float* scale, const float* bias,
                                                     __m128i residual,
                                                     const ProductEpilogue& epilogue) {
  __m256i q[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    __m256 y = scaled(sums[v], scale + 8 * v, bias + 8 * v);
    if (epilogue.activation != ProductActivation::kNone)
      y = _mm256_fmadd_ps(activated(y, epilogue.activation), _mm256_set1_ps(epilogue.inverse_scale),
                          _mm256_set1_ps(epilogue.zero_point));
    q[v] = rounded(y);
  }
  __m128i bytes = bounded_bytes(narrowed<kVectors>(q), epilogue.low, epilogue.high);
  if (epilogue.has_residual) {
    __m256i own[kVectors];
    __m256i other[kVectors];
    widened<kVectors>(bytes, own);
    widened<kVectors>(residual, other);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const __m256 base =
          _mm256_fmadd_ps(_mm256_cvtepi32_ps(own[v]), _mm256_set1_ps(epilogue.own_factor),
                          _mm256_set1_ps(epilogue.offset));
      q[v] = rounded(_mm256_fmadd_ps(_mm256_cvtepi32_ps(other[v]),
                                     _mm256_set1_ps(epilogue.residual_factor), base));
    }
    bytes = bounded_bytes(narrowed<kVectors>(q), epilogue.sum_low, epilogue.sum_high);
  }
  return epilogue.table != nullptr ? through_table(bytes, epilogue.table) : bytes;
}

[[gnu::always_inline]] inline __m256 finished_floats(__m256i sums, const float* scale,
                                                     const float* bias,
                                                     const ProductEpilogue& epilogue) {
  const __m256 y = activated(scaled(sums, scale, bias), epilogue.activation);
  // NaN stays: it is the second operand.
  return _mm256_min_ps(_mm256_set1_ps(epilogue.float_high),
                       _mm256_max_ps(_mm256_set1_ps(epilogue.float_low), y));
}

// AVX2 has no masks for bytes.
[[gnu::always_inline]] inline __m128i load_bytes(const uint8_t* from, int64_t count) {
  if (count >= 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  alignas(16) uint8_t bytes[16] = {};
  __builtin_memcpy(bytes, from, static_cast<size_t>(count));
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

[[gnu::always_inline]] inline void store_bytes(uint8_t* to, __m128i value, int64_t count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
    return;
  }
  if (count == 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), value);
    return;
  }
  alignas(16) uint8_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), value);
  __builtin_memcpy(to, bytes, static_cast<size_t>(count));
}

}  // namespace lathe
