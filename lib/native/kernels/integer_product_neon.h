// The product on 128-bit vectors of 64-bit Arm, for the file that names its instructions: Sums is
// what they add. Bytes are taken as signed, 128 less, which the sums begin with.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "kernels/integer_epilogue_neon.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

namespace lathe {
namespace {

constexpr int kLanes = 4;
constexpr int kMostVectors = 4;

// Taps that are skipped: padding of zeros. As many as a row can have.
alignas(16) constinit uint8_t zeros_of_tap[65808] = {};

template <class Sums, int kRows, int kVectors>
void run_tile(const ProductTile& tile) {
  const PackedProduct& product = *tile.product;
  const int8_t* weights = product.weights.get() + tile.panel.first * product.taps * product.depth;
  const int64_t first = tile.panel.first;
  const int32_t* start = product.start.data() + first;
  Sums sums[kRows][kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const int32x4_t first_sum = vld1q_s32(start + kLanes * v);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r][v].begin(first_sum);
  }
  const uint8_t* const* pixels = tile.pixels;
  for (int64_t tap = 0; tap < product.taps; ++tap, pixels += kRows) {
    const uint8_t* row[kRows];
#pragma GCC unroll 8
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
  int32x4_t totals[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      totals[r][v] = sums[r][v].total(vld1q_s32(start + kLanes * v));
  const int64_t left = product.columns - first;
  const int64_t columns = left < kLanes * kVectors ? left : kLanes * kVectors;
  store_rows(totals, product.may_overflow,
             {kRows,
              columns,
              product.scale.data() + first,
              product.bias.data() + first,
              tile.epilogue,
              {tile.output, tile.output_pitch, tile.residual, tile.residual_pitch}});
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
constexpr ProductVariant neon_variant(std::string_view name) {
  return {name,
          kLanes,
          kMostVectors,
          [](int64_t vectors) -> int64_t { return Sums::rows(static_cast<int>(vectors)); },
          run_panel<Sums>,
          true};
}

}  // namespace
}  // namespace lathe
