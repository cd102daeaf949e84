// Normalization of rows to mean 0 and variance 1, in two passes: (x - mean) / sqrt(variance +
// epsilon) * scale + bias. LayerNormalization and InstanceNormalization, in either layout.
#pragma once

#include <cstdint>

namespace lathe {

/// Row r begins at (r / inner_rows) * outer_pitch + (r % inner_rows) * inner_pitch and has elements
/// `step` apart (all in elements). Output alike, with the same division. `to` may be `from`.
///   LayerNormalization: inner_rows 1, step 1, scale_step 1.
///   InstanceNormalization of NCHW: inner_rows C, inner_pitch H*W, step 1, scale_row 1;
///   of NHWC: inner_rows C, inner_pitch 1, outer_pitch H*W*C, step C, scale_row 1.
struct LayerNorm {
  const float* from = nullptr;
  float* to = nullptr;
  int64_t rows = 1;
  int64_t length = 1;
  int64_t inner_rows = 1;
  int64_t from_outer_pitch = 0;
  int64_t from_inner_pitch = 0;
  int64_t from_step = 1;
  int64_t to_outer_pitch = 0;
  int64_t to_inner_pitch = 0;
  int64_t to_step = 1;
  float epsilon = 1e-5f;
  /// Index of the factor of element i in row r: (r % inner_rows) * scale_row + i * scale_step.
  const float* scale = nullptr;  // null: 1
  const float* bias = nullptr;   // null: 0
  int64_t scale_row = 0;
  int64_t scale_step = 1;
  /// RMS normalization: nothing is subtracted, the mean of the squares takes the variance's place.
  bool keep_mean = false;
};

/// One unit is one row, or 16 where their elements are not neighbours.
int64_t layer_norm_count(const LayerNorm& norm);
void run_layer_norm(const LayerNorm& norm, int64_t begin, int64_t end);

}  // namespace lathe
