#include "kernels/float_rows.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ir/x86_clones.h"
#include "kernels/bfloat16_panels.h"
#include "kernels/elementwise_block.h"

namespace lathe {
namespace {

constexpr int64_t kPartDepth = 256;

LATHE_X86_CLONES void add_products(const float* x, const float* weights, int64_t count,
                                   float* sums) {
#pragma GCC ivdep
  for (int64_t c = 0; c < count; ++c) sums[c] += x[c] * weights[c];
}

LATHE_X86_CLONES void add(const float* x, int64_t count, float* sums) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) sums[i] += x[i];
}

}  // namespace

int64_t packed_lines(int64_t columns, int64_t depth, bool bfloat16) {
  return bfloat16 ? bfloat16_lines(columns, depth) : matrix_lines(columns, depth);
}

void pack_parts(const MatrixSource& matrix, bool bfloat16, FloatLine* to) {
  for (int64_t begin = 0; begin < matrix.depth; begin += kPartDepth) {
    MatrixSource part = matrix;
    part.values += begin * matrix.depth_pitch;
    part.depth = std::min(kPartDepth, matrix.depth - begin);
    if (bfloat16)
      pack_bfloat16(part, reinterpret_cast<BFloat16Line*>(to));
    else
      pack_lines(part, to);
    to += packed_lines(part.columns, part.depth, bfloat16);
  }
}

namespace {

/// Some of the depth of a product.
void sum_part(const FloatRowsProduct& product, int64_t depth, const FloatLine* lines,
              const MatrixRows& rows) {
  if (!product.bfloat16)
    return multiply_rows({product.isa, depth, rows.output_pitch, lines, nullptr}, rows);
  uint16_t rounded[kRowsTogether][kPartDepth];
  std::array<const uint16_t*, kRowsTogether> at{};
  for (int64_t r = 0; r < rows.count; ++r) {
    round_to_bfloat16(rows.rows[r], depth, rounded[r]);
    at[static_cast<size_t>(r)] = rounded[r];
  }
  multiply_bfloat16(
      {reinterpret_cast<const BFloat16Line*>(lines), bfloat16_depth(depth), rows.output_pitch},
      {at.data(), rows.count, rows.initial, rows.initial_pitch, rows.output, rows.output_pitch});
}

}  // namespace

void sum_rows(const FloatRowsProduct& product, const float* const* rows, int64_t count,
              float* sums) {
  const int64_t padded = padded_columns(product.columns);
  if (product.depth == 0)
    for (int64_t r = 0; r < count; ++r) std::copy_n(product.bias, padded, sums + r * padded);
  std::array<const float*, kRowsTogether> at{};
  std::copy(rows, rows + count, at.begin());
  const FloatLine* lines = product.lines;
  float* zeros = sums + kRowsTogether * padded;
  float* part_sums = zeros + padded;
  std::fill_n(zeros, padded, 0.0F);
  for (int64_t begin = 0; begin < product.depth; begin += kPartDepth) {
    const int64_t depth = std::min(kPartDepth, product.depth - begin);
    if (begin == 0) {
      sum_part(product, depth, lines, {at.data(), count, product.bias, 0, sums, padded});
    } else {
      sum_part(product, depth, lines, {at.data(), count, zeros, 0, part_sums, padded});
      add(part_sums, count * padded, sums);
    }
    lines += packed_lines(padded, depth, product.bfloat16);
    for (const float*& row : at)
      if (row != nullptr) row += depth;
  }
}

void end_row(const RowEnd& end, float* sums, int64_t count, float* output, int64_t output_pitch) {
  if (end.adds)
    for (int64_t c = 0; c < count; ++c) sums[c] += output[c * output_pitch];
  if (end.function.kind != ElementwiseKind::kConstant)
    for (int64_t c = 0; c < count; c += kElementwiseBlock)
      run_elementwise_block(end.function, sums + c, nullptr, nullptr, sums + c,
                            std::min(kElementwiseBlock, count - c));
  if (output_pitch == 1)
    std::memcpy(output, sums, static_cast<size_t>(count) * sizeof(float));
  else
    for (int64_t c = 0; c < count; ++c) output[c * output_pitch] = sums[c];
}

void sum_depthwise_row(const float* const* pixels, const float* weights, const float* bias,
                       int64_t taps, int64_t channels, float* sums) {
  std::memcpy(sums, bias, static_cast<size_t>(channels) * sizeof(float));
  for (int64_t tap = 0; tap < taps; ++tap)
    if (pixels[tap] != nullptr) add_products(pixels[tap], weights + tap * channels, channels, sums);
}

}  // namespace lathe
