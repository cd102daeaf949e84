// Rows of floats times a constant matrix, both rounded to bfloat16, summed in float32: where a plan
// allows it and the processor has an instruction for it. Packed as float_panels.h, but by sixteen
// columns and four of the depth.
#pragma once

#include <cstdint>

#include "kernels/float_panels.h"

namespace lathe {

/// Four neighbours of the depth for each of eight columns.
struct alignas(64) BFloat16Line {
  uint16_t x[32];
};
static_assert(sizeof(BFloat16Line) == sizeof(FloatLine), "arrays of both are kept alike");

/// The processor multiplies bfloat16; otherwise the functions below do it slowly.
bool has_bfloat16_products();

constexpr int64_t bfloat16_depth(int64_t depth) { return (depth + 3) / 4 * 4; }
constexpr int64_t bfloat16_lines(int64_t columns, int64_t depth) {
  return padded_columns(columns) / 8 * (bfloat16_depth(depth) / 4);
}

/// Half to even; what is not a number stays so. Zeros behind the last one, up to bfloat16_depth().
void round_to_bfloat16(const float* from, int64_t count, uint16_t* to);

/// Writes bfloat16_lines() of them; columns and depths that are not there are zeros.
void pack_bfloat16(const MatrixSource& matrix, BFloat16Line* to);

struct BFloat16Product {
  const BFloat16Line* lines = nullptr;
  int64_t depth = 0;    // a multiple of 4
  int64_t columns = 0;  // a multiple of 16
};

/// As MatrixRows; the rows are rounded.
struct BFloat16Rows {
  const uint16_t* const* rows = nullptr;
  int64_t count = 0;
  const float* initial = nullptr;
  int64_t initial_pitch = 0;
  float* output = nullptr;
  int64_t output_pitch = 0;
};

/// A result depends on its own row alone. Processors round sums differently: BFMMLA adds pairs of
/// products before it rounds (Arm Architecture Reference Manual, "BFloat16 floating-point").
void multiply_bfloat16(const BFloat16Product& product, const BFloat16Rows& rows);

}  // namespace lathe
