// The product on processors without dot products (Armv8.0).
#include "kernels/integer_product_neon.h"
#include "kernels/integer_sums_neon_pairs.h"

namespace lathe {

const ProductVariant& product_neon() {
  static constexpr ProductVariant kVariant = neon_variant<PairSums>("product:neon");
  return kVariant;
}

}  // namespace lathe
