// Variants for 64-bit Arm in a build for another processor; as without_x86.cpp.
#include "kernels/bfloat16_panels_variants.h"
#include "kernels/byte_binary_variants.h"
#include "kernels/byte_panels_variants.h"
#include "kernels/float_panels_variants.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_product_variants.h"
#include "kernels/lookup_variants.h"

namespace lathe {

const ProductVariant& product_neon() { return product_scalar(); }
const ProductVariant& product_neon_dot() { return product_scalar(); }
const ProductVariant& product_neon_i8mm() { return product_scalar(); }
const DepthwiseVariant& depthwise_neon() { return depthwise_scalar(); }
const DepthwiseVariant& depthwise_neon_dot() { return depthwise_scalar(); }
void sum_bytes_neon(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                    int32_t* sums) {
  sum_bytes_scalar(panel, rows, count, sums);
}
void sum_bytes_neon_dot(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                        int32_t* sums) {
  sum_bytes_scalar(panel, rows, count, sums);
}
void run_byte_binary_neon(const ByteBinary& binary, const uint8_t* a, const uint8_t* b, uint8_t* to,
                          int64_t count) {
  run_byte_binary_any(binary, a, b, to, count);
}
void lookup_row_neon(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  lookup_row_scalar(table, from, to, width);
}
void multiply_panel_neon(const FloatPanel& panel, const MatrixRows& rows) {
  multiply_panel_scalar(panel, rows);
}
void multiply_bfloat16_neon(const BFloat16Product& product, const BFloat16Rows& rows) {
  multiply_bfloat16_scalar(product, rows);
}

}  // namespace lathe
