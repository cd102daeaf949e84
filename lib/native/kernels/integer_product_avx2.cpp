// The product on 256-bit vectors.
#include <immintrin.h>

#include "kernels/integer_epilogue.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

#pragma GCC target("avx2,fma")

#include "kernels/integer_epilogue_avx2.h"

namespace lathe {
namespace {

constexpr int kLanes = 8;
constexpr int kMostVectors = 2;
constexpr int kMostRows = 4;  // with two vectors 8 of the 16 registers are sums

// Sums of four products each. vpmaddubsw would saturate where weights are wide, so those go through
// 16 bits: bytes at even places and bytes at odd places apart.
template <bool kNarrow>
struct FourWeights {
  __m256i even;
  __m256i odd;
};

template <bool kNarrow>
[[gnu::always_inline]] inline FourWeights<kNarrow> load_weights(const int8_t* from) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  if constexpr (kNarrow) return {bytes, bytes};
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}

template <bool kNarrow>
[[gnu::always_inline]] inline __m256i with_products(__m256i sums, __m256i pixel,
                                                    FourWeights<kNarrow> weights) {
  if constexpr (kNarrow) {
    const __m256i pairs = _mm256_maddubs_epi16(pixel, weights.even);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  } else {
    const __m256i even = _mm256_and_si256(pixel, _mm256_set1_epi16(255));
    const __m256i odd = _mm256_srli_epi16(pixel, 8);
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(even, weights.even));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(odd, weights.odd));
  }
}

template <int kRows, int kVectors, bool kNarrow>
[[gnu::always_inline]] inline void accumulate(const ProductTile& tile, const int8_t* weights,
                                              __m256i (&sums)[kRows][kVectors]) {
  const int64_t taps = tile.product->taps;
  const int64_t depth = tile.product->depth;
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm256_setzero_si256();
  const uint8_t* const* pixels = tile.pixels;
  for (int64_t tap = 0; tap < taps; ++tap, pixels += kRows) {
    if (pixels[0] == nullptr) {
      weights += 32 * kVectors * (depth / 4);
      continue;
    }
    const uint8_t* row[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) row[r] = pixels[r];
    for (int64_t k = 0; k < depth; k += 4) {
      FourWeights<kNarrow> column[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) column[v] = load_weights<kNarrow>(weights + 32 * v);
      weights += 32 * kVectors;
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        int32_t four = 0;
        __builtin_memcpy(&four, row[r] + k, 4);
        const __m256i pixel = _mm256_set1_epi32(four);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v)
          sums[r][v] = with_products<kNarrow>(sums[r][v], pixel, column[v]);
      }
    }
  }
}

template <int kVectors>
void store_floats(const ProductTile& tile, int64_t first, const __m256i (*sums)[kVectors]) {
  const float* scale = tile.product->scale.data() + first;
  const float* bias = tile.product->bias.data() + first;
  const __m256i sequence = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* output = static_cast<float*>(tile.output) + r * tile.output_pitch;
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = tile.product->columns - first - kLanes * v;
      if (left <= 0) break;
      const int kept = left < kLanes ? static_cast<int>(left) : kLanes;
      _mm256_maskstore_ps(
          output + kLanes * v, _mm256_cmpgt_epi32(_mm256_set1_epi32(kept), sequence),
          finished_floats(sums[r][v], scale + kLanes * v, bias + kLanes * v, *tile.epilogue));
    }
  }
}

template <int kVectors>
void store_finished(const ProductTile& tile, int64_t first, const __m256i (*sums)[kVectors]) {
  const float* scale = tile.product->scale.data() + first;
  const float* bias = tile.product->bias.data() + first;
  const int64_t left = tile.product->columns - first;
  const int64_t columns = left < kLanes * kVectors ? left : kLanes * kVectors;
  for (int64_t r = 0; r < tile.rows; ++r) {
    const __m128i residual = tile.epilogue->has_residual
                                 ? load_bytes(tile.residual + r * tile.residual_pitch, columns)
                                 : _mm_setzero_si128();
    store_bytes(static_cast<uint8_t*>(tile.output) + r * tile.output_pitch,
                finished_bytes<kVectors>(sums[r], scale, bias, residual, *tile.epilogue), columns);
  }
}

template <int kRows, int kVectors>
void run_tile(const ProductTile& tile) {
  const ProductPanel& panel = tile.panel;
  const PackedProduct& product = *tile.product;
  const int8_t* weights = product.weights.get() + panel.first * product.taps * product.depth;
  __m256i sums[kRows][kVectors];
  if (product.narrow)
    accumulate<kRows, kVectors, true>(tile, weights, sums);
  else
    accumulate<kRows, kVectors, false>(tile, weights, sums);
  const ProductEpilogue& epilogue = *tile.epilogue;
  if (is_plain(epilogue, product.may_overflow) && epilogue.table == nullptr) {
    auto* output = static_cast<uint8_t*>(tile.output);
    const int64_t pitch = tile.output_pitch;
    const int64_t columns = product.columns - panel.first;
    const uint8_t low = epilogue.low;
    const uint8_t high = epilogue.high;
    quantize_plain(sums, product.scale.data() + panel.first, product.bias.data() + panel.first);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      store_bytes(output + r * pitch, bounded_bytes(narrowed<kVectors>(sums[r]), low, high),
                  columns < kLanes * kVectors ? columns : kLanes * kVectors);
    return;
  }
  // A copy, so that the sums themselves need no address and stay in registers above.
  __m256i kept[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) kept[r][v] = sums[r][v];
  if (epilogue.float_output)
    store_floats<kVectors>(tile, panel.first, kept);
  else
    store_finished<kVectors>(tile, panel.first, kept);
}

template <int kVectors>
void run_rows(const ProductTile& tile) {
  switch (tile.rows) {
    case 1: return run_tile<1, kVectors>(tile);
    case 2: return run_tile<2, kVectors>(tile);
    case 3: return run_tile<3, kVectors>(tile);
    default: return run_tile<4, kVectors>(tile);
  }
}

}  // namespace

const ProductVariant& product_avx2() {
  static constexpr ProductVariant kVariant = {"product:avx2_wide", kLanes, kMostVectors,
                                              [](int64_t) -> int64_t { return kMostRows; },
                                              [](const ProductTile& tile) {
                                                if (tile.panel.vectors == 1)
                                                  return run_rows<1>(tile);
                                                return run_rows<2>(tile);
                                              }};
  return kVariant;
}

}  // namespace lathe
