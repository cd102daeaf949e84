// Resizing of images (NHWC) by tables that the caller makes from ONNX's coordinate rules.
#pragma once

#include <cstdint>

namespace lathe {

/// Pitches in elements; channels are neighbours.
struct Resize {
  int64_t images = 1;
  int64_t out_rows = 1;
  int64_t out_columns = 1;
  int64_t channels = 1;
  int64_t from_pixel = 1;
  int64_t from_row = 1;
  int64_t from_image = 1;
  int64_t to_pixel = 1;
  int64_t to_row = 1;
  int64_t to_image = 1;
};

/// Input row and column of each output row and column.
struct NearestTables {
  const int32_t* rows = nullptr;
  const int32_t* columns = nullptr;
};

/// y = (1 - weight) * first + weight * second along columns, then along rows, computed as
/// first + weight * (second - first).
struct LinearTables {
  const int32_t* first_row = nullptr;
  const int32_t* second_row = nullptr;
  const float* row_weight = nullptr;
  const int32_t* first_column = nullptr;
  const int32_t* second_column = nullptr;
  const float* column_weight = nullptr;
};

/// One unit is one row of output pixels.
int64_t resize_count(const Resize& resize);
/// Elements of 1 or 4 bytes.
void run_resize_nearest(const Resize& resize, const NearestTables& tables, int element_size,
                        const void* from, void* to, int64_t begin, int64_t end);
void run_resize_linear(const Resize& resize, const LinearTables& tables, const float* from,
                       float* to, int64_t begin, int64_t end);
/// Input and output have one scale and zero point; rounded half to even.
void run_resize_linear(const Resize& resize, const LinearTables& tables, const uint8_t* from,
                       uint8_t* to, int64_t begin, int64_t end);

}  // namespace lathe
