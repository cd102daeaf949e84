#include "kernels/integer_product.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/integer_epilogue.h"
#include "kernels/integer_product_panels.h"
#include "kernels/integer_product_variants.h"

namespace lathe {
namespace {

/// vpmaddubsw adds two products of a uint8 and an int8 in 16 bits.
bool never_saturates(const int8_t* weights, int64_t count) {
  for (int64_t i = 0; i < count; i += 2) {
    const int sum = std::max(0, int{weights[i]}) + std::max(0, int{weights[i + 1]});
    const int negative = std::min(0, int{weights[i]}) + std::min(0, int{weights[i + 1]});
    if (255 * sum > INT16_MAX || 255 * negative < INT16_MIN) return false;
  }
  return true;
}

}  // namespace

KernelIsa best_kernel_isa() {
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return KernelIsa::kAvx512Vnni;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return KernelIsa::kAvx2;
  return KernelIsa::kScalar;
}

const ProductVariant& product_variant(KernelIsa isa) {
  switch (isa) {
    case KernelIsa::kAvx512Vnni: return product_avx512();
    case KernelIsa::kAvx2: return product_avx2();
    case KernelIsa::kScalar: break;
  }
  return product_scalar();
}

PackedProduct pack_product(KernelIsa isa, const int8_t* weights, int64_t columns, int64_t taps,
                           int64_t depth, const float* scale, const float* bias,
                           bool float_output) {
  const ProductVariant& variant = product_variant(isa);
  const int64_t lanes = variant.lanes;
  const int64_t padded = (columns + lanes - 1) / lanes * lanes;
  PackedProduct product;
  product.isa = isa;
  product.taps = taps;
  product.depth = depth;
  product.columns = columns;
  // Only that variant cares, and looking at all weights takes time.
  product.narrow = isa == KernelIsa::kAvx2 && never_saturates(weights, columns * taps * depth);
  product.weights.assign(static_cast<size_t>(padded * taps * depth), 0);
  product.scale.assign(static_cast<size_t>(padded), 0.0f);
  product.bias.assign(static_cast<size_t>(padded), 0.0f);
  for (int64_t c = 0; c < columns && !product.may_overflow; ++c)
    product.may_overflow =
        may_reach_overflow(weights + c * taps * depth, taps * depth, scale[c], bias[c]);
  const int64_t panels = panel_count(columns, lanes, variant.most_vectors);
  for (int64_t p = 0; p < panels; ++p) {
    const ProductPanel panel = panel_at(columns, lanes, variant.most_vectors, p);
    int8_t* to = product.weights.data() + panel.first * taps * depth;
    for (int64_t v = 0; v < panel.vectors; ++v) {
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int64_t column =
            panel.first + panel_column(!float_output, panel.vectors, lanes, v, lane);
        if (column >= columns) continue;
        const int64_t place = panel.first + v * lanes + lane;
        product.scale[static_cast<size_t>(place)] = scale[column];
        product.bias[static_cast<size_t>(place)] = bias[column];
        const int8_t* from = weights + column * taps * depth;
        for (int64_t k = 0; k < taps * depth; k += 4)
          std::memcpy(to + (k / 4 * panel.vectors + v) * lanes * 4 + lane * 4, from + k, 4);
      }
    }
  }
  return product;
}

int64_t product_panels(const PackedProduct& product) {
  const ProductVariant& variant = product_variant(product.isa);
  return panel_count(product.columns, variant.lanes, variant.most_vectors);
}

int64_t product_panel_begin(const PackedProduct& product, int64_t panel) {
  const ProductVariant& variant = product_variant(product.isa);
  return panel_at(product.columns, variant.lanes, variant.most_vectors, panel).first;
}

int64_t product_rows(const PackedProduct& product, int64_t panel) {
  const ProductVariant& variant = product_variant(product.isa);
  return variant.rows(
      panel_at(product.columns, variant.lanes, variant.most_vectors, panel).vectors);
}

void run_product_tile(const ProductTile& tile) { product_variant(tile.product->isa).run(tile); }

}  // namespace lathe
