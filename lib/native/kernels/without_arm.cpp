// Variants for 64-bit Arm in a build for another processor; as without_x86.cpp.
#include "kernels/float_panels_variants.h"
#include "kernels/integer_product_variants.h"

namespace lathe {

const ProductVariant& product_neon() { return product_scalar(); }
const ProductVariant& product_neon_dot() { return product_scalar(); }
void multiply_panel_neon(const FloatPanel& panel, const MatrixRows& rows) {
  multiply_panel_scalar(panel, rows);
}

}  // namespace lathe
