// What becomes of sums in 128-bit vectors of 64-bit Arm: see integer_epilogue.h. Column 4 v + i
// lies in lane i of vector v.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "kernels/byte_table_neon.h"
#include "kernels/integer_epilogue.h"
#include "kernels/product_activation.h"

namespace lathe {
namespace {

// Byte b of the result is column b, saturated; those behind the last vector are zero.
template <int kVectors>
[[gnu::always_inline]] inline uint8x16_t narrowed(const int32x4_t (&q)[kVectors]) {
  int16x8_t low = vcombine_s16(vqmovn_s32(q[0]), vdup_n_s16(0));
  if constexpr (kVectors > 1) low = vqmovn_high_s32(vget_low_s16(low), q[1]);
  const uint8x8_t bytes = vqmovun_s16(low);
  if constexpr (kVectors < 3) return vcombine_u8(bytes, vdup_n_u8(0));
  int16x8_t high = vcombine_s16(vqmovn_s32(q[kVectors < 3 ? 0 : 2]), vdup_n_s16(0));
  if constexpr (kVectors > 3) high = vqmovn_high_s32(vget_low_s16(high), q[kVectors - 1]);
  return vqmovun_high_s16(bytes, high);
}

[[gnu::always_inline]] inline uint8x16_t bounded_bytes(uint8x16_t bytes, uint8_t low,
                                                       uint8_t high) {
  return vminq_u8(vmaxq_u8(bytes, vdupq_n_u8(low)), vdupq_n_u8(high));
}

[[gnu::always_inline]] inline float32x4_t real_sums(int32x4_t sums, const float* scale,
                                                    const float* bias) {
  return vfmaq_f32(vld1q_f32(bias), vcvtq_f32_s32(sums), vld1q_f32(scale));
}

// In place: sums become integers in output units, not yet clamped.
template <int kRows, int kVectors>
[[gnu::always_inline]] inline void quantize_plain(int32x4_t (&sums)[kRows][kVectors],
                                                  const float* scale, const float* bias) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const float32x4_t factor = vld1q_f32(scale + 4 * v);
    const float32x4_t term = vld1q_f32(bias + 4 * v);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      sums[r][v] = vcvtnq_s32_f32(vfmaq_f32(term, vcvtq_f32_s32(sums[r][v]), factor));
  }
}

// Half to even; what is not a number becomes `low`.
[[gnu::always_inline]] inline int32x4_t rounded(float32x4_t y, uint8_t low) {
  return vcvtnq_s32_f32(vmaxnmq_f32(y, vdupq_n_f32(low)));
}

// Four bytes of 16 as floats.
[[gnu::always_inline]] inline float32x4_t as_floats(uint8x16_t bytes, int v) {
  const uint16x8_t words = v < 2 ? vmovl_u8(vget_low_u8(bytes)) : vmovl_high_u8(bytes);
  return vcvtq_f32_u32(v % 2 == 0 ? vmovl_u16(vget_low_u16(words)) : vmovl_high_u16(words));
}

// Without the table. `residual`: bytes in sequence, where the epilogue has one.
template <int kVectors, bool kActivates>
[[gnu::always_inline]] inline uint8x16_t finished_bytes(const int32x4_t (&sums)[kVectors],
                                                        const float* scale, const float* bias,
                                                        uint8x16_t residual,
                                                        const ProductEpilogue& epilogue) {
  int32x4_t q[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    float32x4_t y = real_sums(sums[v], scale + 4 * v, bias + 4 * v);
    if (kActivates)
      y = vfmaq_f32(vdupq_n_f32(epilogue.zero_point), activated(y, epilogue.activation),
                    vdupq_n_f32(epilogue.inverse_scale));
    q[v] = rounded(y, epilogue.low);
  }
  if (!epilogue.has_residual)
    return bounded_bytes(narrowed<kVectors>(q), epilogue.low, epilogue.high);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    // `low` is held already.
    const int32x4_t bounded = vminq_s32(q[v], vdupq_n_s32(epilogue.high));
    const float32x4_t own = vfmaq_f32(vdupq_n_f32(epilogue.offset), vcvtq_f32_s32(bounded),
                                      vdupq_n_f32(epilogue.own_factor));
    q[v] = rounded(vfmaq_f32(own, as_floats(residual, v), vdupq_n_f32(epilogue.residual_factor)),
                   epilogue.sum_low);
  }
  return bounded_bytes(narrowed<kVectors>(q), epilogue.sum_low, epilogue.sum_high);
}

[[gnu::always_inline]] inline float32x4_t finished_floats(int32x4_t sums, const float* scale,
                                                          const float* bias,
                                                          const ProductEpilogue& epilogue) {
  return between(activated(real_sums(sums, scale, bias), epilogue.activation), epilogue.float_low,
                 epilogue.float_high);
}

// The first `count` of four.
[[gnu::always_inline]] inline void store_floats(float* to, float32x4_t y, int64_t count) {
  if (count >= 4) return vst1q_f32(to, y);
  float values[4];
  vst1q_f32(values, y);
  std::memcpy(to, values, static_cast<size_t>(count) * sizeof(float));
}

// The first `count` of 16; behind them are zeros.
[[gnu::always_inline]] inline uint8x16_t load_bytes(const uint8_t* from, int64_t count) {
  if (count >= 16) return vld1q_u8(from);
  if (count == 8) return vcombine_u8(vld1_u8(from), vdup_n_u8(0));
  uint8_t bytes[16] = {};
  std::memcpy(bytes, from, static_cast<size_t>(count));
  return vld1q_u8(bytes);
}

[[gnu::always_inline]] inline void store_bytes(uint8_t* to, uint8x16_t value, int64_t count) {
  if (count >= 16) return vst1q_u8(to, value);
  if (count == 8) return vst1_u8(to, vget_low_u8(value));
  uint8_t bytes[16];
  vst1q_u8(bytes, value);
  std::memcpy(to, bytes, static_cast<size_t>(count));
}

// The rows of a tile go to `output`, `pitch` elements apart; residuals likewise.
struct RowPlaces {
  void* output = nullptr;
  int64_t pitch = 0;
  const uint8_t* residual = nullptr;
  int64_t residual_pitch = 0;
};

// Rows of sums (the first `rows` of them) with `columns` columns each, and what becomes of them.
template <int kVectors>
struct FinishedRows {
  int64_t rows = 0;
  int64_t columns = 0;
  const float* scale = nullptr;
  const float* bias = nullptr;
  const ProductEpilogue* epilogue = nullptr;
  RowPlaces places;

  void store(int64_t row, uint8x16_t bytes) const {
    store_bytes(static_cast<uint8_t*>(places.output) + row * places.pitch, bytes, columns);
  }
};

// Any epilogue, row by row.
template <int kVectors, bool kActivates>
[[gnu::noinline]] void store_any(const int32x4_t (*sums)[kVectors],
                                 const FinishedRows<kVectors>& to) {
  const ProductEpilogue& epilogue = *to.epilogue;
  for (int64_t r = 0; r < to.rows; ++r) {
    if (epilogue.float_output) {
      float* output = static_cast<float*>(to.places.output) + r * to.places.pitch;
      for (int v = 0; v < kVectors && 4 * v < to.columns; ++v)
        store_floats(output + 4 * v,
                     finished_floats(sums[r][v], to.scale + 4 * v, to.bias + 4 * v, epilogue),
                     to.columns - 4 * v);
      continue;
    }
    const uint8x16_t residual =
        epilogue.has_residual
            ? load_bytes(to.places.residual + r * to.places.residual_pitch, to.columns)
            : vdupq_n_u8(0);
    uint8x16_t bytes =
        finished_bytes<kVectors, kActivates>(sums[r], to.scale, to.bias, residual, epilogue);
    if (epilogue.table != nullptr) bytes = through_table(bytes, load_table(epilogue.table));
    to.store(r, bytes);
  }
}

template <int kRows, int kVectors>
[[gnu::always_inline]] inline void store_rows(int32x4_t (&sums)[kRows][kVectors], bool may_overflow,
                                              const FinishedRows<kVectors>& to) {
  if (!is_plain(*to.epilogue, may_overflow)) [[unlikely]] {
    // Copies, so that the sums themselves need no address and stay in registers below.
    const FinishedRows<kVectors> rows = to;
    int32x4_t kept[kRows][kVectors];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) kept[r][v] = sums[r][v];
    return rows.epilogue->activation == ProductActivation::kNone
               ? store_any<kVectors, false>(kept, rows)
               : store_any<kVectors, true>(kept, rows);
  }
  quantize_plain(sums, to.scale, to.bias);
  uint8x16_t bytes[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    bytes[r] = bounded_bytes(narrowed(sums[r]), to.epilogue->low, to.epilogue->high);
  if (to.epilogue->table != nullptr) {
    const ByteTable table = load_table(to.epilogue->table);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) bytes[r] = through_table(bytes[r], table);
  }
  if (to.rows == kRows && to.columns == 4 * kVectors) {
    auto* output = static_cast<uint8_t*>(to.places.output);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r, output += to.places.pitch)
      std::memcpy(output, &bytes[r], 4 * kVectors);
    return;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    if (r < to.rows) to.store(r, bytes[r]);
}

}  // namespace
}  // namespace lathe
