// The product on 512-bit vectors with VNNI (and VBMI's table lookup where there is one).
#include <immintrin.h>

#include "kernels/integer_epilogue.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

// GCC 12's own intrinsics start from a variable without a value.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

#include "kernels/integer_epilogue_avx512.h"

namespace lathe {
namespace {

constexpr int kLanes = 16;

// Accumulators of a tile stay in registers: rows x vectors is 24 at most.
constexpr int kRowsOfVectors[] = {0, 16, 12, 8, 6};

template <int kRows, int kVectors>
using Sums = __m512i[kRows][kVectors];

template <int kRows, int kVectors>
[[gnu::always_inline]] inline void accumulate(const ProductTile& tile, const int8_t* weights,
                                              Sums<kRows, kVectors>& sums) {
  const PackedProduct& product = *tile.product;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_setzero_si512();
  const uint8_t* const* pixels = tile.pixels;
  for (int64_t tap = 0; tap < product.taps; ++tap, pixels += kRows) {
    if (pixels[0] == nullptr) {
      weights += 64 * kVectors * (product.depth / 4);
      continue;
    }
    const uint8_t* row[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) row[r] = pixels[r];
    for (int64_t k = 0; k < product.depth; k += 4) {
      __m512i column[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) column[v] = _mm512_loadu_si512(weights + 64 * v);
      weights += 64 * kVectors;
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        int32_t four = 0;
        __builtin_memcpy(&four, row[r] + k, 4);
        const __m512i pixel = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
          sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], pixel, column[v]);
      }
    }
  }
}

// Masked stores are slow on some processors, so only the last panel has one.
template <int kVectors>
[[gnu::always_inline]] inline void store_row(uint8_t* to, __m512i bytes, __mmask64 mask,
                                             bool whole) {
  if (!whole) {
    _mm512_mask_storeu_epi8(to, mask, bytes);
  } else if constexpr (kVectors == 4) {
    _mm512_storeu_si512(to, bytes);
  } else if constexpr (kVectors == 1) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(bytes));
  } else {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(bytes));
    if constexpr (kVectors == 3)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm512_extracti32x4_epi32(bytes, 2));
  }
}

template <int kVectors>
void store_floats(const ProductTile& tile, int64_t first, const __m512i (*sums)[kVectors]) {
  const float* scale = tile.product->scale.data() + first;
  const float* bias = tile.product->bias.data() + first;
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* output = static_cast<float*>(tile.output) + r * tile.output_pitch;
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = tile.product->columns - first - kLanes * v;
      if (left <= 0) break;
      const auto mask = static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
      _mm512_mask_storeu_ps(
          output + kLanes * v, mask,
          finished_floats(sums[r][v], scale + kLanes * v, bias + kLanes * v, *tile.epilogue));
    }
  }
}

template <bool kActivated, int kVectors>
void store_finished(const ProductTile& tile, int64_t first, const __m512i (*sums)[kVectors],
                    __mmask64 mask, bool whole) {
  const float* scale = tile.product->scale.data() + first;
  const float* bias = tile.product->bias.data() + first;
  // Copies: stores of bytes could change what is behind a pointer.
  const ProductEpilogue epilogue = *tile.epilogue;
  const ProductTile to = tile;
  auto* output = static_cast<uint8_t*>(to.output);
  for (int64_t r = 0; r < to.rows; ++r) {
    const __m512i residual =
        epilogue.has_residual ? _mm512_maskz_loadu_epi8(mask, to.residual + r * to.residual_pitch)
                              : _mm512_setzero_si512();
    store_row<kVectors>(output + r * to.output_pitch,
                        finished_bytes<kActivated>(sums[r], scale, bias, residual, epilogue), mask,
                        whole);
  }
  if (epilogue.table != nullptr)
    through_table({output, to.rows, to.output_pitch, mask}, epilogue.table);
}

template <int kRows, int kVectors>
void run_tile(const ProductTile& tile) {
  const PackedProduct& product = *tile.product;
  const ProductPanel panel = tile.panel;
  Sums<kRows, kVectors> sums;
  accumulate<kRows, kVectors>(
      tile, product.weights.get() + panel.first * product.taps * product.depth, sums);
  const float* scale = product.scale.data() + panel.first;
  const float* bias = product.bias.data() + panel.first;
  const int64_t left = product.columns - panel.first;
  const int64_t bytes = left < kLanes * kVectors ? left : kLanes * kVectors;
  const bool whole = bytes == kLanes * kVectors;
  const __mmask64 mask = bytes >= 64 ? ~__mmask64{0} : (__mmask64{1} << bytes) - 1;
  const ProductEpilogue& epilogue = *tile.epilogue;
  if (is_plain(epilogue, product.may_overflow)) {
    auto* output = static_cast<uint8_t*>(tile.output);
    const int64_t pitch = tile.output_pitch;
    const ByteBounds bounds(epilogue.low, epilogue.high);
    quantize_plain(sums, scale, bias);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
      store_row<kVectors>(output + r * pitch, bounded_bytes(narrowed<kVectors>(sums[r]), bounds),
                          mask, whole);
    if (epilogue.table != nullptr) through_table({output, kRows, pitch, mask}, epilogue.table);
    return;
  }
  // A copy, so that the sums themselves need no address and stay in registers above.
  __m512i kept[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) kept[r][v] = sums[r][v];
  if (epilogue.float_output)
    store_floats<kVectors>(tile, panel.first, kept);
  else if (epilogue.activation != ProductActivation::kNone)
    store_finished<true, kVectors>(tile, panel.first, kept, mask, whole);
  else
    store_finished<false, kVectors>(tile, panel.first, kept, mask, whole);
}

using RunTile = void (*)(const ProductTile&);

template <int kVectors, int... kRows>
RunTile tile_of(int64_t rows, std::integer_sequence<int, kRows...>) {
  static constexpr RunTile kTiles[] = {run_tile<kRows + 1, kVectors>...};
  return kTiles[rows - 1];
}

template <int kVectors>
RunTile tile_of(int64_t rows) {
  return tile_of<kVectors>(rows, std::make_integer_sequence<int, kRowsOfVectors[kVectors]>{});
}

}  // namespace

const ProductVariant& product_avx512() {
  static constexpr ProductVariant kVariant = {
      "product:avx512_vnni", kLanes, 4,
      [](int64_t vectors) -> int64_t { return kRowsOfVectors[vectors]; },
      [](const ProductTile& tile) {
        switch (tile.panel.vectors) {
          case 1: return tile_of<1>(tile.rows)(tile);
          case 2: return tile_of<2>(tile.rows)(tile);
          case 3: return tile_of<3>(tile.rows)(tile);
          default: return tile_of<4>(tile.rows)(tile);
        }
      }};
  return kVariant;
}

}  // namespace lathe
