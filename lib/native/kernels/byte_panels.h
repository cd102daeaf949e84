// Rows of uint8 with one zero point times a constant int8 matrix, exact in int32: MatMulInteger and
// the products of a dynamically quantized LSTM. Packed as float_panels.h, four of the depth in a
// word. (Products whose scale is known beforehand are those of integer_product.h.)
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/integer_product.h"

namespace lathe {

/// Four neighbours of the depth for each of sixteen columns.
struct alignas(64) ByteLine {
  int8_t x[64];
};

struct PackedBytes {
  KernelIsa isa = KernelIsa::kScalar;
  int64_t depth = 0;
  int64_t columns = 0;
  int64_t padded = 0;  // columns, up to a multiple of 16
  std::vector<ByteLine> values;
  std::vector<int32_t> sums;    // of each column's weights
  std::vector<int32_t> shifts;  // empty: none
};

/// `weights`: columns x depth. `shifts`: null, or one number a column that is added to each of its
/// weights (uint8 weights with any zero point are int8 weights with a shift).
PackedBytes pack_bytes(KernelIsa isa, const int8_t* weights, int64_t columns, int64_t depth,
                       const int32_t* shifts = nullptr);

/// What the products of `isa` are made of, as names of kernels end: ":neon_dot"; "" for plain C++.
std::string_view byte_instructions(KernelIsa isa);

/// Columns are computed in panels of at most this many.
constexpr int64_t kMostPanelColumns = 64;
int64_t byte_panels(const PackedBytes& matrix);

/// Rows and what becomes of them; pitches from row to row are in elements.
///   sum = the sum of (row[k] - zero_point) * (weight[k] + shift), as int32 arithmetic wraps
///   float: float(sum) * (scale * factor) + bias;   int32: sum.
struct ByteRows {
  const uint8_t* const* rows = nullptr;  // addresses of `depth` bytes
  int64_t count = 0;
  int32_t zero_point = 0;
  int32_t* sums = nullptr;  // the output, if it is int32
  float* output = nullptr;  // the output, if it is float
  int64_t output_pitch = 0;
  const float* scale = nullptr;  // one a column, or one (scale_step 0)
  int64_t scale_step = 0;
  const float* factor = nullptr;  // one a column; null: 1
  const float* bias = nullptr;    // one a column; null: nothing is added
  int64_t bias_pitch = 0;         // from row to row
};

/// Panels `begin` to `end` - 1. All processors give the same bytes.
void multiply_bytes(const PackedBytes& matrix, const ByteRows& rows, int64_t begin, int64_t end);

}  // namespace lathe
