#include "kernels/float_rows.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>

#include "ir/x86_clones.h"
#include "kernels/bfloat16_panels.h"
#include "kernels/elementwise_block.h"

namespace lathe {
namespace {

constexpr int64_t kPartDepth = 256;

#if defined(__aarch64__)
constexpr int64_t kVectorFloats = 4;
constexpr int64_t kMostVectors = 8;
#else
constexpr int64_t kVectorFloats = 16;
constexpr int64_t kMostVectors = 4;
#endif
// As many floats as a register holds, anywhere in memory.
using Vector = float __attribute__((vector_size(kVectorFloats * 4), aligned(4), may_alias));

[[gnu::always_inline]] inline const Vector& vector_at(const float* values) {
  return *reinterpret_cast<const Vector*>(values);
}

[[gnu::always_inline]] inline void add_product(Vector& sum, const Vector& x, const Vector& w) {
#if defined(__aarch64__)
  sum = vfmaq_f32(sum, x, w);
#else
  sum += x * w;
#endif
}

/// Blocks of so many channels, each summed in registers, from channel `first` on; the first channel
/// behind them.
template <int64_t kVectors>
[[gnu::always_inline]] inline int64_t sum_blocks(const DepthwiseRow& row, int64_t first,
                                                 float* sums) {
  constexpr int64_t kBlock = kVectors * kVectorFloats;
  for (; first + kBlock <= row.channels; first += kBlock) {
    Vector block[kVectors];
#pragma GCC unroll 8
    for (int64_t v = 0; v < kVectors; ++v)
      block[v] = vector_at(row.bias + first + v * kVectorFloats);
    const float* w = row.weights + first;
    for (int64_t tap = 0; tap < row.taps; ++tap, w += row.channels) {
      if (row.pixels[tap] == nullptr) continue;
      const float* x = row.pixels[tap] + first;
#pragma GCC unroll 8
      for (int64_t v = 0; v < kVectors; ++v)
        add_product(block[v], vector_at(x + v * kVectorFloats), vector_at(w + v * kVectorFloats));
    }
#pragma GCC unroll 8
    for (int64_t v = 0; v < kVectors; ++v)
      *reinterpret_cast<Vector*>(sums + first + v * kVectorFloats) = block[v];
  }
  return first;
}

LATHE_X86_CLONES int64_t sum_all_blocks(const DepthwiseRow& row, float* sums) {
  return sum_blocks<kMostVectors / 4>(
      row, sum_blocks<kMostVectors / 2>(row, sum_blocks<kMostVectors>(row, 0, sums), sums), sums);
}

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

void sum_depthwise_row(const DepthwiseRow& row, float* sums) {
  const int64_t first = sum_all_blocks(row, sums);
  const int64_t left = row.channels - first;
  std::copy_n(row.bias + first, left, sums + first);
  for (int64_t tap = 0; tap < row.taps; ++tap)
    if (row.pixels[tap] != nullptr)
      add_products(row.pixels[tap] + first, row.weights + tap * row.channels + first, left,
                   sums + first);
}

}  // namespace lathe
