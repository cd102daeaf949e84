#include "kernels/bfloat16_panels.h"

#include <algorithm>
#include <bit>

#include "kernels/bfloat16_panels_variants.h"
#include "kernels/instructions.h"

namespace lathe {
namespace {

uint16_t rounded(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>(bits >> 16 | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

float widened(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

}  // namespace

bool has_bfloat16_products() { return instructions().bfmmla; }

void round_to_bfloat16(const float* from, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = rounded(from[i]);
  std::fill(to + count, to + bfloat16_depth(count), uint16_t{0});
}

void pack_bfloat16(const MatrixSource& matrix, BFloat16Line* to) {
  uint16_t* at = to->x;
  for (int64_t first = 0; first < padded_columns(matrix.columns); first += kFloatLanes)
    for (int64_t k = 0; k < matrix.depth; k += 4)
      for (int64_t column = first; column < first + kFloatLanes; ++column)
        for (int64_t i = k; i < k + 4; ++i)
          *at++ =
              column < matrix.columns && i < matrix.depth
                  ? rounded(matrix.values[column * matrix.column_pitch + i * matrix.depth_pitch])
                  : uint16_t{0};
}

void multiply_bfloat16_scalar(const BFloat16Product& product, const BFloat16Rows& rows) {
  for (int64_t r = 0; r < rows.count; ++r)
    for (int64_t c = 0; c < product.columns; ++c) {
      const int64_t line = c / kFloatLanes * kFloatLanes * product.depth;
      const uint16_t* weights = product.lines->x + line + c % kFloatLanes * 4;
      float sum = rows.initial[r * rows.initial_pitch + c];
      for (int64_t k = 0; k < product.depth; ++k)
        sum += widened(rows.rows[r][k]) * widened(weights[k / 4 * 4 * kFloatLanes + k % 4]);
      rows.output[r * rows.output_pitch + c] = sum;
    }
}

void multiply_bfloat16(const BFloat16Product& product, const BFloat16Rows& rows) {
  return has_bfloat16_products() ? multiply_bfloat16_neon(product, rows)
                                 : multiply_bfloat16_scalar(product, rows);
}

}  // namespace lathe
