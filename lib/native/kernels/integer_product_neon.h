// The product on 128-bit vectors of 64-bit Arm, for the file that names its instructions: Sums is
// what they add. Bytes are taken as signed, 128 less, which the sums begin with.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"
#include "kernels/product_activation.h"

namespace lathe {
namespace {

constexpr int kLanes = 4;
constexpr int kMostVectors = 4;

// Taps that are skipped: padding of zeros. As many as a row can have.
alignas(16) constinit uint8_t zeros_of_tap[65808] = {};

[[gnu::always_inline]] inline float32x4_t bounded(float32x4_t y, float low, float high) {
  return vminnmq_f32(vmaxnmq_f32(y, vdupq_n_f32(low)), vdupq_n_f32(high));
}

[[gnu::always_inline]] inline float32x4_t real_sums(int32x4_t sums, const float* scale,
                                                    const float* bias) {
  return vfmaq_f32(vld1q_f32(bias), vcvtq_f32_s32(sums), vld1q_f32(scale));
}

inline void store_floats(const ProductEpilogue& epilogue, float32x4_t y, int64_t count,
                         float* output) {
  y = activated(y, epilogue.activation);
  y = between(y, epilogue.float_low, epilogue.float_high);
  if (count >= kLanes) return vst1q_f32(output, y);
  float values[kLanes];
  vst1q_f32(values, y);
  std::memcpy(output, values, static_cast<size_t>(count) * sizeof(float));
}

// Four of them; rounded half to even, and what is not a number becomes the lower bound.
[[gnu::always_inline]] inline int32x4_t finished_bytes(const ProductEpilogue& epilogue,
                                                       float32x4_t y, const uint8_t* residual) {
  if (epilogue.activation != ProductActivation::kNone)
    y = vfmaq_f32(vdupq_n_f32(epilogue.zero_point), activated(y, epilogue.activation),
                  vdupq_n_f32(epilogue.inverse_scale));
  int32x4_t q = vcvtnq_s32_f32(bounded(y, epilogue.low, epilogue.high));
  if (epilogue.has_residual) {
    const float32x4_t own =
        vfmaq_f32(vdupq_n_f32(epilogue.offset), vcvtq_f32_s32(q), vdupq_n_f32(epilogue.own_factor));
    const float32x4_t other = {static_cast<float>(residual[0]), static_cast<float>(residual[1]),
                               static_cast<float>(residual[2]), static_cast<float>(residual[3])};
    q = vcvtnq_s32_f32(bounded(vfmaq_f32(own, other, vdupq_n_f32(epilogue.residual_factor)),
                               epilogue.sum_low, epilogue.sum_high));
  }
  return q;
}

template <int kVectors>
void store_row(const ProductTile& tile, int64_t row, const int32x4_t (&sums)[kVectors]) {
  const ProductEpilogue& epilogue = *tile.epilogue;
  const int64_t first = tile.panel.first;
  const float* scale = tile.product->scale.data() + first;
  const float* bias = tile.product->bias.data() + first;
  const int64_t left = tile.product->columns - first;
  const int64_t columns = left < kLanes * kVectors ? left : kLanes * kVectors;
  if (epilogue.float_output) {
    float* output = static_cast<float*>(tile.output) + row * tile.output_pitch;
    for (int v = 0; v * kLanes < columns; ++v)
      store_floats(epilogue, real_sums(sums[v], scale + kLanes * v, bias + kLanes * v),
                   columns - kLanes * v, output + kLanes * v);
    return;
  }
  uint8_t residual[kLanes * kVectors] = {};
  if (epilogue.has_residual)
    std::memcpy(residual, tile.residual + row * tile.residual_pitch, static_cast<size_t>(columns));
  uint16x4_t halves[(kVectors + 1) / 2 * 2] = {};
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
    halves[v] = vmovn_u32(vreinterpretq_u32_s32(
        finished_bytes(epilogue, real_sums(sums[v], scale + kLanes * v, bias + kLanes * v),
                       residual + kLanes * v)));
  uint8_t bytes[(kVectors + 1) / 2 * 8];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v += 2)
    vst1_u8(bytes + kLanes * v, vmovn_u16(vcombine_u16(halves[v], halves[v + 1])));
  if (epilogue.table != nullptr)
    for (int64_t c = 0; c < columns; ++c) bytes[c] = epilogue.table[bytes[c]];
  uint8_t* output = static_cast<uint8_t*>(tile.output) + row * tile.output_pitch;
  if (columns == kLanes * kVectors)
    std::memcpy(output, bytes, kLanes * kVectors);
  else
    std::memcpy(output, bytes, static_cast<size_t>(columns));
}

template <class Sums, int kRows, int kVectors>
void run_tile(const ProductTile& tile) {
  const PackedProduct& product = *tile.product;
  const int8_t* weights = product.weights.get() + tile.panel.first * product.taps * product.depth;
  Sums sums[kRows][kVectors];
  for (auto& row : sums)
    for (Sums& one : row) one.clear();
  const uint8_t* const* pixels = tile.pixels;
  for (int64_t tap = 0; tap < product.taps; ++tap, pixels += kRows) {
    const uint8_t* row[kRows];
    for (int r = 0; r < kRows; ++r) row[r] = pixels[0] != nullptr ? pixels[r] : zeros_of_tap;
    int64_t k = 0;
    for (; k + 16 <= product.depth; k += 16, weights += 64 * kVectors) {
      int8x16_t x[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r)
        x[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(row[r] + k), vdupq_n_u8(128)));
      Sums::template add<0>(sums, weights, x);
      Sums::template add<1>(sums, weights + 16 * kVectors, x);
      Sums::template add<2>(sums, weights + 32 * kVectors, x);
      Sums::template add<3>(sums, weights + 48 * kVectors, x);
    }
    for (; k < product.depth; k += 4, weights += 16 * kVectors) {
      int8x16_t x[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        uint32_t four = 0;
        std::memcpy(&four, row[r] + k, 4);
        x[r] = vreinterpretq_s8_u32(veorq_u32(vdupq_n_u32(four), vdupq_n_u32(0x80808080U)));
      }
      Sums::template add<0>(sums, weights, x);
    }
  }
  int32x4_t start[kVectors];
  for (int v = 0; v < kVectors; ++v)
    start[v] = vld1q_s32(product.start.data() + tile.panel.first + kLanes * v);
  for (int r = 0; r < kRows; ++r) {
    int32x4_t total[kVectors];
    for (int v = 0; v < kVectors; ++v) total[v] = vaddq_s32(sums[r][v].total(), start[v]);
    store_row<kVectors>(tile, r, total);
  }
}

template <class Sums, int kVectors, int kRows = Sums::rows(kVectors)>
void run_rows(const ProductTile& tile) {
  if (tile.rows == kRows) return run_tile<Sums, kRows, kVectors>(tile);
  if constexpr (kRows > 1) run_rows<Sums, kVectors, kRows - 1>(tile);
}

template <class Sums>
void run_panel(const ProductTile& tile) {
  switch (tile.panel.vectors) {
    case 4: return run_rows<Sums, 4>(tile);
    case 3: return run_rows<Sums, 3>(tile);
    case 2: return run_rows<Sums, 2>(tile);
    default: return run_rows<Sums, 1>(tile);
  }
}

template <class Sums>
constexpr ProductVariant neon_variant() {
  return {kLanes, kMostVectors,
          [](int64_t vectors) -> int64_t { return Sums::rows(static_cast<int>(vectors)); },
          run_panel<Sums>, true};
}

}  // namespace
}  // namespace lathe
