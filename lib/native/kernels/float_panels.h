// Rows of floats times a matrix: what a recurrent network computes at every step, and float
// products where oneDNN does not. The matrix is packed in panels of at most 64 neighbouring
// columns, so that a single row (a product of a matrix and a vector) streams through it once from
// the first byte to the last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/integer_product.h"

namespace lathe {

/// What the products of `isa` are made of, as names of kernels end: ":neon"; "" for plain C++.
std::string_view float_instructions(KernelIsa isa);

/// Sixteen neighbours that begin a cache line.
struct alignas(64) FloatLine {
  float x[16];
};

struct PackedMatrix {
  KernelIsa isa = KernelIsa::kScalar;
  int64_t depth = 0;
  int64_t columns = 0;  // a multiple of 16
  const FloatLine* lines = nullptr;
  std::shared_ptr<const void> owner;  // of the lines; null: somebody else's
};

/// A matrix anywhere; pitches in elements.
struct MatrixSource {
  const float* values = nullptr;
  int64_t columns = 0;
  int64_t depth = 0;
  int64_t column_pitch = 0;  // from a column to the next
  int64_t depth_pitch = 1;
};

constexpr int64_t kFloatLanes = 16;
/// Columns up to a multiple of 16.
constexpr int64_t padded_columns(int64_t columns) {
  return (columns + kFloatLanes - 1) / kFloatLanes * kFloatLanes;
}
constexpr int64_t matrix_lines(int64_t columns, int64_t depth) {
  return padded_columns(columns) / kFloatLanes * depth;
}

/// Writes matrix_lines() of them; columns that are not there are zeros. The order is the same for
/// all instructions.
void pack_lines(const MatrixSource& matrix, FloatLine* to);

/// `weights`: columns x depth; `columns` a multiple of 16 (pad with rows of zeros).
PackedMatrix pack_matrix(KernelIsa isa, const float* weights, int64_t columns, int64_t depth);

/// Rows and what becomes of them; pitches from row to row are in elements.
struct MatrixRows {
  const float* const* rows = nullptr;  // addresses of `depth` floats
  int64_t count = 0;
  const float* initial = nullptr;  // what the sums begin with, `columns` of them a row
  int64_t initial_pitch = 0;       // 0: the same for all rows
  float* output = nullptr;         // `columns` a row; may be `initial`
  int64_t output_pitch = 0;
};

/// Every sum begins with its initial value and takes the products in the order of the depth, so a
/// result depends on its own row alone. Multiplication and addition are fused in every variant: all
/// processors give the same bytes.
/// `backwards`: the last panel first, with the same results. A matrix that is multiplied again and
/// again and is hardly larger than a cache is found there in part when the direction alternates.
void multiply_rows(const PackedMatrix& matrix, const MatrixRows& rows, bool backwards = false);

}  // namespace lathe
