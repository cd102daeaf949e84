// Rows of floats times a matrix, and what follows: a convolution's or a matrix product's output.
#pragma once

#include <cstdint>

#include "kernels/elementwise.h"
#include "kernels/float_panels.h"

namespace lathe {

/// A matrix in parts of its depth that stay in a cache with the rows that read them. Each part is
/// summed by itself, in the order of the depth, then the parts in theirs: less is rounded away.
struct FloatRowsProduct {
  KernelIsa isa = KernelIsa::kScalar;
  int64_t columns = 0;
  int64_t depth = 0;
  const FloatLine* lines = nullptr;  // as pack_parts() writes them, packed_lines() of them
  const float* bias = nullptr;       // padded_columns() of them
  bool bfloat16 = false;             // rows are rounded, as the matrix was when it was packed
};

int64_t packed_lines(int64_t columns, int64_t depth, bool bfloat16);
void pack_parts(const MatrixSource& matrix, bool bfloat16, FloatLine* to);

/// Rows that are computed together: whole tiles of every variant's.
constexpr int64_t kRowsTogether = 30;

/// Floats that sum_rows() wants for kRowsTogether rows.
constexpr int64_t sums_of_rows(int64_t columns) {
  return (2 * kRowsTogether + 1) * padded_columns(columns);
}

/// `sums`: sums_of_rows() floats, of which the first count x padded_columns() are the result.
/// `rows`: addresses of `depth` floats, at most kRowsTogether.
void sum_rows(const FloatRowsProduct& product, const float* const* rows, int64_t count,
              float* sums);

/// What becomes of a row's sums. kConstant as the function: nothing.
struct RowEnd {
  bool adds = false;  // to what is in the output, before the function
  ElementwiseOp function{ElementwiseKind::kConstant};
};

/// `output_pitch`: from an element to the next. Changes `sums`.
void end_row(const RowEnd& end, float* sums, int64_t count, float* output, int64_t output_pitch);

/// One row of a depthwise convolution: an address a tap, null outside the image; weights: taps x
/// channels.
struct DepthwiseRow {
  const float* const* pixels = nullptr;
  const float* weights = nullptr;
  const float* bias = nullptr;
  int64_t taps = 0;
  int64_t channels = 0;
};

/// sums[c] = bias[c] + the products of every tap's channel c, in the order of the taps.
void sum_depthwise_row(const DepthwiseRow& row, float* sums);

}  // namespace lathe
