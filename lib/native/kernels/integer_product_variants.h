// The variants of the integer product, one for each set of instructions.
#pragma once

#include <utility>

#include "kernels/integer_product.h"

namespace lathe {

/// The name of the AVX2 variant where nothing saturates.
constexpr std::string_view kNarrowAvx2Product = "product:avx2";

struct ProductVariant {
  std::string_view name;
  int64_t lanes = 1;         // columns of one vector
  int64_t most_vectors = 1;  // of a panel
  int64_t (*rows)(int64_t vectors) = nullptr;
  void (*run)(const ProductTile& tile) = nullptr;
  bool takes_signed = false;  // wants PackedProduct::start
  int64_t block = 4;          // neighbours of the depth that lie together for each column
};

const ProductVariant& product_avx512();
const ProductVariant& product_avx2();
const ProductVariant& product_neon();
const ProductVariant& product_neon_dot();
const ProductVariant& product_neon_i8mm();
const ProductVariant& product_scalar();
const ProductVariant& product_variant(KernelIsa isa);

}  // namespace lathe
