// Variants for x86 in a build for another processor: instructions() never chooses them there. Each
// stands for the plain one, so that they are named in one place only.
#include "kernels/byte_binary_variants.h"
#include "kernels/byte_panels_variants.h"
#include "kernels/float_panels_variants.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_product_variants.h"
#include "kernels/lookup_variants.h"

namespace lathe {

const ProductVariant& product_avx512() { return product_scalar(); }
const ProductVariant& product_avx2() { return product_scalar(); }
const DepthwiseVariant& depthwise_avx512() { return depthwise_scalar(); }
const DepthwiseVariant& depthwise_avx2() { return depthwise_scalar(); }

void multiply_panel_avx512(const FloatPanel& panel, const MatrixRows& rows) {
  multiply_panel_scalar(panel, rows);
}
void multiply_panel_avx2(const FloatPanel& panel, const MatrixRows& rows) {
  multiply_panel_scalar(panel, rows);
}

void sum_bytes_avx512(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                      int32_t* sums) {
  sum_bytes_scalar(panel, rows, count, sums);
}
void sum_bytes_avx2(const BytePanel& panel, const uint8_t* const* rows, int64_t count,
                    int32_t* sums) {
  sum_bytes_scalar(panel, rows, count, sums);
}

void run_byte_binary_avx512(const ByteBinary& binary, const uint8_t* a, const uint8_t* b,
                            uint8_t* to, int64_t count) {
  run_byte_binary_any(binary, a, b, to, count);
}

void lookup_row_shuffle(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  lookup_row_scalar(table, from, to, width);
}
void lookup_row_permute(const uint8_t* table, const uint8_t* from, uint8_t* to, int64_t width) {
  lookup_row_scalar(table, from, to, width);
}
void float_lookup_permute(const FloatTable& table, const uint8_t* from, float* to, int64_t count) {
  float_lookup_scalar(table, from, to, count);
}

}  // namespace lathe
