#include "kernels/float_rows.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/elementwise_block.h"
#include "kernels/x86_clones.h"

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

void pack_parts(const MatrixSource& matrix, FloatLine* to) {
  for (int64_t begin = 0; begin < matrix.depth; begin += kPartDepth) {
    MatrixSource part = matrix;
    part.values += begin * matrix.depth_pitch;
    part.depth = std::min(kPartDepth, matrix.depth - begin);
    pack_lines(part, to);
    to += matrix_lines(part.columns, part.depth);
  }
}

void sum_rows(const FloatRowsProduct& product, const float* const* rows, int64_t count,
              float* sums) {
  const int64_t padded = padded_columns(product.columns);
  if (product.depth == 0)
    for (int64_t r = 0; r < count; ++r) std::copy_n(product.bias, padded, sums + r * padded);
  std::array<const float*, kRowsTogether> at{};
  std::copy(rows, rows + count, at.begin());
  PackedMatrix part{product.isa, 0, padded, product.lines, nullptr};
  float* zeros = sums + kRowsTogether * padded;
  float* part_sums = zeros + padded;
  std::fill_n(zeros, padded, 0.0F);
  for (int64_t begin = 0; begin < product.depth; begin += kPartDepth) {
    part.depth = std::min(kPartDepth, product.depth - begin);
    if (begin == 0) {
      multiply_rows(part, {at.data(), count, product.bias, 0, sums, padded});
    } else {
      multiply_rows(part, {at.data(), count, zeros, 0, part_sums, padded});
      add(part_sums, count * padded, sums);
    }
    part.lines += matrix_lines(padded, part.depth);
    for (const float*& row : at)
      if (row != nullptr) row += part.depth;
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
