// The product by USMMLA (Armv8.6): two rows with two columns, eight of the depth, in one
// instruction. Bytes stay unsigned.
#pragma GCC target("arch=armv8.2-a+dotprod+i8mm")

#include <arm_neon.h>

#include <cstring>

#include "kernels/integer_epilogue_neon.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

namespace lathe {
namespace {

constexpr int kLanes = 4;
constexpr int kMostVectors = 4;
constexpr int kBlock = 8;

// So many that their sums stay in registers.
constexpr int pairs_of(int vectors) { return vectors == 4 ? 3 : vectors == 3 ? 4 : 6; }

// Eight bytes of each of two rows, or four and zeros behind them.
[[gnu::always_inline]] inline uint8x16_t eights(const uint8_t* first, const uint8_t* second) {
  return vcombine_u8(vld1_u8(first), vld1_u8(second));
}
[[gnu::always_inline]] inline uint8x16_t fours(const uint8_t* first, const uint8_t* second) {
  uint64_t four[2] = {};
  std::memcpy(&four[0], first, 4);
  std::memcpy(&four[1], second, 4);
  return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(four[0]), vcreate_u64(four[1])));
}

// Sums of two rows each: of columns 2 c and 2 c + 1, first those of the first row.
template <int kPairs, int kVectors>
void run_pairs(const ProductTile& tile) {
  constexpr int kColumns = 2 * kVectors;  // pairs of them
  const PackedProduct& product = *tile.product;
  const int64_t first = tile.panel.first;
  const int8_t* weights = product.weights.get() + first * product.taps * product.depth;
  int32x4_t sums[kPairs][kColumns];
#pragma GCC unroll 8
  for (int p = 0; p < kPairs; ++p)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) sums[p][c] = vdupq_n_s32(0);
  const uint8_t* const* pixels = tile.pixels;
  for (int64_t tap = 0; tap < product.taps; ++tap, pixels += tile.rows) {
    if (pixels[0] == nullptr) {
      weights += product.depth * kLanes * kVectors;
      continue;
    }
    // Rows that there are not repeat the last one.
    const uint8_t* row[2 * kPairs];
#pragma GCC unroll 16
    for (int r = 0; r < 2 * kPairs; ++r) row[r] = pixels[r < tile.rows ? r : tile.rows - 1];
    int64_t k = 0;
    for (; k + kBlock <= product.depth; k += kBlock, weights += 16 * kColumns) {
      uint8x16_t x[kPairs];
#pragma GCC unroll 8
      for (int p = 0; p < kPairs; ++p) x[p] = eights(row[2 * p] + k, row[2 * p + 1] + k);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const int8x16_t w = vld1q_s8(weights + 16 * c);
#pragma GCC unroll 8
        for (int p = 0; p < kPairs; ++p) sums[p][c] = vusmmlaq_s32(sums[p][c], x[p], w);
      }
    }
    if (k == product.depth) continue;
    uint8x16_t x[kPairs];
#pragma GCC unroll 8
    for (int p = 0; p < kPairs; ++p) x[p] = fours(row[2 * p] + k, row[2 * p + 1] + k);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c, weights += 8) {
      const int32x2_t four = vreinterpret_s32_s8(vld1_s8(weights));
      const int32x2_t none = vdup_n_s32(0);
      const int8x16_t w =
          vreinterpretq_s8_s32(vcombine_s32(vzip1_s32(four, none), vzip2_s32(four, none)));
#pragma GCC unroll 8
      for (int p = 0; p < kPairs; ++p) sums[p][c] = vusmmlaq_s32(sums[p][c], x[p], w);
    }
  }
  int32x4_t totals[2 * kPairs][kVectors];
#pragma GCC unroll 8
  for (int p = 0; p < kPairs; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int32x4_t left = sums[p][2 * v];
      const int32x4_t right = sums[p][2 * v + 1];
      totals[2 * p][v] = vcombine_s32(vget_low_s32(left), vget_low_s32(right));
      totals[2 * p + 1][v] = vcombine_s32(vget_high_s32(left), vget_high_s32(right));
    }
  const int64_t left = product.columns - first;
  const int64_t columns = left < kLanes * kVectors ? left : kLanes * kVectors;
  store_rows(totals, product.may_overflow,
             {tile.rows,
              columns,
              product.scale.data() + first,
              product.bias.data() + first,
              tile.epilogue,
              {tile.output, tile.output_pitch, tile.residual, tile.residual_pitch}});
}

template <int kVectors, int kPairs = pairs_of(kVectors)>
void run_rows(const ProductTile& tile) {
  if ((tile.rows + 1) / 2 == kPairs) return run_pairs<kPairs, kVectors>(tile);
  if constexpr (kPairs > 1) run_rows<kVectors, kPairs - 1>(tile);
}

void run_panel(const ProductTile& tile) {
  switch (tile.panel.vectors) {
    case 4: return run_rows<4>(tile);
    case 3: return run_rows<3>(tile);
    case 2: return run_rows<2>(tile);
    default: return run_rows<1>(tile);
  }
}

}  // namespace

const ProductVariant& product_neon_i8mm() {
  static constexpr ProductVariant kVariant = {
      "product:neon_i8mm",
      kLanes,
      kMostVectors,
      [](int64_t vectors) -> int64_t { return 2 * pairs_of(static_cast<int>(vectors)); },
      run_panel,
      false,
      kBlock};
  return kVariant;
}

}  // namespace lathe
