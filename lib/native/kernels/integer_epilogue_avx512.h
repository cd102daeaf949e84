// What becomes of sums in 512-bit vectors: see integer_epilogue.h. To be included where AVX-512 is
// the target. The sums are in the order of panel_column: then bytes come out in sequence.
#pragma once

#include <immintrin.h>

#include "kernels/instructions.h"
#include "kernels/integer_product.h"
#include "kernels/product_activation.h"

namespace lathe {

// Byte b of the result is column b.
template <int kVectors>
[[gnu::always_inline]] inline __m512i narrowed(const __m512i (&q)[kVectors]) {
  if constexpr (kVectors == 4) {
    return _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
  } else if constexpr (kVectors == 3) {
    const __m512i packed =
        _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[2]));
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0), packed);
  } else if constexpr (kVectors == 2) {
    const __m512i packed = _mm512_packs_epi32(q[0], q[1]);
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0),
        _mm512_packus_epi16(packed, packed));
  } else {
    const __m512i packed = _mm512_packs_epi32(q[0], q[0]);
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        _mm512_packus_epi16(packed, packed));
  }
}

// The reverse: bytes in sequence to vectors of 32-bit numbers.
template <int kVectors>
[[gnu::always_inline]] inline void widened(__m512i bytes, __m512i (&wide)[kVectors]) {
  if constexpr (kVectors == 1) {
    wide[0] = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(bytes));
  } else {
    if constexpr (kVectors == 2)
      bytes = _mm512_permutexvar_epi32(
          _mm512_setr_epi32(0, 1, 0, 0, 2, 3, 0, 0, 4, 5, 0, 0, 6, 7, 0, 0), bytes);
    if constexpr (kVectors == 3)
      bytes = _mm512_permutexvar_epi32(
          _mm512_setr_epi32(0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0), bytes);
    const __m512i zero = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(bytes, zero);
    wide[0] = _mm512_unpacklo_epi16(low, zero);
    wide[1] = _mm512_unpackhi_epi16(low, zero);
    if constexpr (kVectors > 2) {
      const __m512i high = _mm512_unpackhi_epi8(bytes, zero);
      wide[2] = _mm512_unpacklo_epi16(high, zero);
      if constexpr (kVectors > 3) wide[3] = _mm512_unpackhi_epi16(high, zero);
    }
  }
}

// Rows of bytes in memory, `pitch` apart: behind the stores of a tile, so that nothing else has to
// share registers with the table.
struct StoredRows {
  uint8_t* first;
  int64_t count;
  int64_t pitch;
  __mmask64 mask;
};

// Sixteen rows of sixteen entries, chosen by the upper four bits.
static void look_up(const StoredRows& rows, const uint8_t* table) {
  for (int64_t r = 0; r < rows.count; ++r) {
    uint8_t* bytes = rows.first + r * rows.pitch;
    const __m512i index = _mm512_maskz_loadu_epi8(rows.mask, bytes);
    const __m512i low_bits = _mm512_and_si512(index, _mm512_set1_epi8(15));
    const __m512i row = _mm512_and_si512(_mm512_srli_epi16(index, 4), _mm512_set1_epi8(15));
    __m512i result = _mm512_setzero_si512();
    for (int i = 0; i < 16; ++i) {
      const __m512i entries =
          _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
      result = _mm512_mask_shuffle_epi8(
          result, _mm512_cmpeq_epi8_mask(row, _mm512_set1_epi8(static_cast<char>(i))), entries,
          low_bits);
    }
    _mm512_mask_storeu_epi8(bytes, rows.mask, result);
  }
}

[[gnu::target("avx512vbmi")]] static void look_up_vbmi(const StoredRows& rows,
                                                       const uint8_t* table) {
  const __m512i quarters[4] = {_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64),
                               _mm512_loadu_si512(table + 128), _mm512_loadu_si512(table + 192)};
  const StoredRows all = rows;
  for (int64_t r = 0; r < all.count; ++r) {
    uint8_t* bytes = all.first + r * all.pitch;
    const __m512i index = _mm512_maskz_loadu_epi8(all.mask, bytes);
    const __m512i low = _mm512_permutex2var_epi8(quarters[0], index, quarters[1]);
    const __m512i high = _mm512_permutex2var_epi8(quarters[2], index, quarters[3]);
    _mm512_mask_storeu_epi8(bytes, all.mask,
                            _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
  }
}

// Few channels without gaps between the pixels: as many pixels as fill vectors make one row.
inline StoredRows without_seams(const StoredRows& rows, int64_t bytes) {
  constexpr int64_t kBytes = 64;
  return {rows.first, rows.count * bytes / kBytes, kBytes, ~__mmask64{0}};
}

[[gnu::always_inline]] inline void through_table(StoredRows rows, const uint8_t* table) {
  const int64_t bytes = rows.pitch;
  if (bytes < 64 && rows.mask == (__mmask64{1} << bytes) - 1 && rows.count * bytes % 64 == 0)
    rows = without_seams(rows, bytes);
  if (instructions().vbmi)
    look_up_vbmi(rows, table);
  else
    look_up(rows, table);
}

struct ByteBounds {
  [[gnu::always_inline]] ByteBounds(uint8_t least, uint8_t most)
      : low(_mm512_set1_epi8(static_cast<char>(least))),
        high(_mm512_set1_epi8(static_cast<char>(most))) {}
  __m512i low;
  __m512i high;
};

[[gnu::always_inline]] inline __m512i bounded_bytes(__m512i bytes, const ByteBounds& bounds) {
  return _mm512_min_epu8(_mm512_max_epu8(bytes, bounds.low), bounds.high);
}

[[gnu::always_inline]] inline __m512 scaled(__m512i sums, const float* scale, const float* bias) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(scale), _mm512_loadu_ps(bias));
}

// Larger numbers would become the least integer. What is not a number stays: it becomes that too.
[[gnu::always_inline]] inline __m512i rounded(__m512 y) {
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(1e6f), y));
}

// In place: sums become integers in output units, not yet clamped.
template <int kRows, int kVectors>
[[gnu::always_inline]] inline void quantize_plain(__m512i (&sums)[kRows][kVectors],
                                                  const float* scale, const float* bias) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const __m512 factor = _mm512_loadu_ps(scale + 16 * v);
    const __m512 term = _mm512_loadu_ps(bias + 16 * v);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
      sums[r][v] =
          _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][v]), factor, term));
  }
}

// `residual`: bytes in sequence, where the epilogue has one. The table comes later: through_table.
template <bool kActivated, int kVectors>
[[gnu::always_inline]] inline __m512i finished_bytes(const __m512i (&sums)[kVectors],
                                                     const float* scale, const float* bias,
                                                     __m512i residual,
                                                     const ProductEpilogue& epilogue) {
  __m512i q[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    __m512 y = scaled(sums[v], scale + 16 * v, bias + 16 * v);
    if constexpr (kActivated)
      y = _mm512_fmadd_ps(activated(y, epilogue.activation), _mm512_set1_ps(epilogue.inverse_scale),
                          _mm512_set1_ps(epilogue.zero_point));
    q[v] = rounded(y);
  }
  ByteBounds bounds(epilogue.low, epilogue.high);
  if (epilogue.has_residual) {
    const __m512i low = _mm512_set1_epi32(epilogue.low);
    const __m512i high = _mm512_set1_epi32(epilogue.high);
    __m512i other[kVectors];
    widened<kVectors>(residual, other);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m512i own = _mm512_min_epi32(_mm512_max_epi32(q[v], low), high);
      const __m512 base =
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(own), _mm512_set1_ps(epilogue.own_factor),
                          _mm512_set1_ps(epilogue.offset));
      q[v] = rounded(_mm512_fmadd_ps(_mm512_cvtepi32_ps(other[v]),
                                     _mm512_set1_ps(epilogue.residual_factor), base));
    }
    bounds = ByteBounds(epilogue.sum_low, epilogue.sum_high);
  }
  return bounded_bytes(narrowed<kVectors>(q), bounds);
}

[[gnu::always_inline]] inline __m512 finished_floats(__m512i sums, const float* scale,
                                                     const float* bias,
                                                     const ProductEpilogue& epilogue) {
  const __m512 y = activated(scaled(sums, scale, bias), epilogue.activation);
  // NaN stays: it is the second operand.
  return _mm512_min_ps(_mm512_set1_ps(epilogue.float_high),
                       _mm512_max_ps(_mm512_set1_ps(epilogue.float_low), y));
}

}  // namespace lathe
