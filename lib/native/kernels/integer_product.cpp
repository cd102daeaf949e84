#include "kernels/integer_product.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>

#include "kernels/instructions.h"
#include "kernels/integer_epilogue.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

namespace lathe {
namespace {

int64_t padded_depth(const ProductWeights& weights) { return (weights.depth + 3) / 4 * 4; }

/// vpmaddubsw adds two products of a uint8 and an int8 in 16 bits.
bool never_saturates(const ProductWeights& weights) {
  const int8_t* row = weights.values;
  for (int64_t r = 0; r < weights.columns * weights.taps; ++r, row += weights.depth) {
    for (int64_t i = 0; i < weights.depth; i += 2) {
      const int first = row[i];
      const int second = i + 1 < weights.depth ? row[i + 1] : 0;
      const int sum = std::max(0, first) + std::max(0, second);
      const int negative = std::min(0, first) + std::min(0, second);
      if (255 * sum > INT16_MAX || 255 * negative < INT16_MIN) return false;
    }
  }
  return true;
}

/// Some of the depth of column `i`: blocks of each column beside those of the others, the last one
/// no longer than a multiple of 4.
template <int64_t kBlock>
void pack_blocks(const int8_t* from, int64_t depth, int64_t columns, int64_t i, int8_t* to) {
  for (; depth >= kBlock; depth -= kBlock, from += kBlock, to += columns * kBlock)
    std::memcpy(to + i * kBlock, from, kBlock);
  const int64_t left = (depth + 3) / 4 * 4;
  if (depth > 0) std::memcpy(to + i * left, from, static_cast<size_t>(depth));
}

}  // namespace

std::vector<KernelIsa> usable_kernel_isas() {
  const Instructions& has = instructions();
  std::vector<KernelIsa> isas = {KernelIsa::kScalar};
  if (has.avx2) isas.push_back(KernelIsa::kAvx2);
  if (has.vnni) isas.push_back(KernelIsa::kAvx512Vnni);
  if (has.neon) isas.push_back(KernelIsa::kNeon);
  if (has.dot_products) isas.push_back(KernelIsa::kNeonDot);
  if (has.i8mm) isas.push_back(KernelIsa::kNeonI8mm);
  return isas;
}

KernelIsa best_kernel_isa() { return usable_kernel_isas().back(); }

const ProductVariant& product_variant(KernelIsa isa) {
  switch (isa) {
    case KernelIsa::kAvx512Vnni: return product_avx512();
    case KernelIsa::kAvx2: return product_avx2();
    case KernelIsa::kNeon: return product_neon();
    case KernelIsa::kNeonDot: return product_neon_dot();
    case KernelIsa::kNeonI8mm: return product_neon_i8mm();
    case KernelIsa::kScalar: break;
  }
  return product_scalar();
}

size_t packed_product_bytes(KernelIsa isa, const ProductWeights& weights) {
  const int64_t lanes = product_variant(isa).lanes;
  const int64_t padded = (weights.columns + lanes - 1) / lanes * lanes;
  return static_cast<size_t>(padded * weights.taps * padded_depth(weights));
}

void pack_product_weights(KernelIsa isa, const ProductWeights& weights, int8_t* to) {
  const ProductVariant& variant = product_variant(isa);
  const int64_t lanes = variant.lanes;
  const int64_t depth = weights.depth;
  const int64_t row = weights.taps * depth;
  const int64_t packed_row = weights.taps * padded_depth(weights);
  std::memset(to, 0, packed_product_bytes(isa, weights));
  const int64_t panels = panel_count(weights.columns, lanes, variant.most_vectors);
  for (int64_t p = 0; p < panels; ++p) {
    const ProductPanel panel = panel_at(weights.columns, lanes, variant.most_vectors, p);
    int8_t* of_panel = to + panel.first * packed_row;
    for (int64_t tap = 0; tap < weights.taps; ++tap) {
      // A line of each row at a time: what is written then stays in the first cache.
      for (int64_t begin = 0; begin < depth; begin += 64) {
        const int64_t end = std::min(begin + 64, depth);
        for (int64_t i = 0; i < panel.vectors * lanes; ++i) {
          const int64_t column = panel.first + panel_column(!weights.float_output, panel.vectors,
                                                            lanes, i / lanes, i % lanes);
          if (column >= weights.columns) continue;
          const int8_t* from = weights.values + column * row + tap * depth;
          const int64_t columns = panel.vectors * lanes;
          int8_t* at = of_panel + (tap * padded_depth(weights) + begin) * columns;
          if (variant.block == 8)
            pack_blocks<8>(from + begin, end - begin, columns, i, at);
          else
            pack_blocks<4>(from + begin, end - begin, columns, i, at);
        }
      }
    }
  }
}

PackedProduct pack_product(KernelIsa isa, const ProductWeights& weights, const float* scale,
                           const float* bias, std::shared_ptr<const int8_t[]> packed) {
  const ProductVariant& variant = product_variant(isa);
  const int64_t lanes = variant.lanes;
  const int64_t columns = weights.columns;
  const int64_t row = weights.taps * weights.depth;
  const auto padded = static_cast<size_t>((columns + lanes - 1) / lanes * lanes);
  PackedProduct product;
  product.isa = isa;
  product.name = variant.name;
  product.run = variant.run;
  product.taps = weights.taps;
  product.depth = padded_depth(weights);
  product.columns = columns;
  // Only that variant cares, and looking at all weights takes time.
  product.narrow = isa == KernelIsa::kAvx2 && never_saturates(weights);
  if (product.narrow) product.name = kNarrowAvx2Product;
  for (int64_t c = 0; c < columns && !product.may_overflow; ++c)
    product.may_overflow = may_reach_overflow(weights.values + c * row, row, scale[c], bias[c]);
  if (packed == nullptr) {
    const std::shared_ptr<int8_t[]> made(
        new (std::align_val_t{64}) int8_t[std::max<size_t>(packed_product_bytes(isa, weights), 1)],
        [](int8_t* bytes) { ::operator delete[](bytes, std::align_val_t{64}); });
    pack_product_weights(isa, weights, made.get());
    packed = made;
  }
  product.weights = std::move(packed);
  product.scale.assign(padded, 0.0f);
  product.bias.assign(padded, 0.0f);
  if (variant.takes_signed) product.start.assign(padded, 0);
  const int64_t panels = panel_count(columns, lanes, variant.most_vectors);
  for (int64_t p = 0; p < panels; ++p) {
    const ProductPanel panel = panel_at(columns, lanes, variant.most_vectors, p);
    for (int64_t i = 0; i < panel.vectors * lanes; ++i) {
      const int64_t column = panel.first + panel_column(!weights.float_output, panel.vectors, lanes,
                                                        i / lanes, i % lanes);
      if (column >= columns) continue;
      product.scale[static_cast<size_t>(panel.first + i)] = scale[column];
      product.bias[static_cast<size_t>(panel.first + i)] = bias[column];
      if (variant.takes_signed) {
        const int8_t* of_column = weights.values + column * row;
        product.start[static_cast<size_t>(panel.first + i)] =
            128 * std::accumulate(of_column, of_column + row, 0);
      }
    }
  }
  return product;
}

std::vector<ProductPanel> product_panels(const PackedProduct& product) {
  const ProductVariant& variant = product_variant(product.isa);
  const int64_t count = panel_count(product.columns, variant.lanes, variant.most_vectors);
  std::vector<ProductPanel> panels;
  for (int64_t p = 0; p < count; ++p) {
    panels.push_back(panel_at(product.columns, variant.lanes, variant.most_vectors, p));
    panels.back().rows = variant.rows(panels.back().vectors);
  }
  return panels;
}

}  // namespace lathe
