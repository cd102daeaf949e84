// The product by SDOT (Armv8.2).
#pragma GCC target("arch=armv8.2-a+dotprod")

#include "kernels/integer_product_neon.h"
#include "kernels/integer_sums_neon_dot.h"

namespace lathe {

const ProductVariant& product_neon_dot() {
  static constexpr ProductVariant kVariant = neon_variant<DotSums>("product:neon_dot");
  return kVariant;
}

}  // namespace lathe
