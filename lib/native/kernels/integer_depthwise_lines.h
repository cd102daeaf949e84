// The pixels that a row of outputs reads, as pointers: padding is a pointer like any other.
#pragma once

#include "kernels/integer_depthwise.h"

namespace lathe {

/// Variants compute up to so many outputs of a row at a time, also where the row ends before.
constexpr int64_t kOutputsTogether = 16;

/// Pointers for one kernel row: tap k of output x is number x * stride_width + k * dilation_width.
inline int64_t line_length(const DepthwiseRows& rows) {
  const DepthwiseWindow& window = rows.depthwise->window;
  const int64_t outputs =
      (rows.output_width + kOutputsTogether - 1) / kOutputsTogether * kOutputsTogether;
  return (outputs - 1) * window.stride_width + (window.kernel_width - 1) * window.dilation_width +
         1;
}

/// Fills kernel_height lines for output row `row`.
[[gnu::always_inline]] inline void point_at_row(const DepthwiseRows& rows, int64_t row,
                                                int64_t length, const uint8_t** lines) {
  const DepthwiseWindow& window = rows.depthwise->window;
  const uint8_t* padding = rows.depthwise->padding.data();
  const int64_t pitch = rows.input_pitch;
  for (int64_t r = 0; r < window.kernel_height; ++r, lines += length) {
    const int64_t y = row * window.stride_height - window.pad_top + r * window.dilation_height;
    const bool inside = y >= 0 && y < rows.height;
    const int64_t begin = window.pad_left < length ? window.pad_left : length;
    const int64_t behind = window.pad_left + rows.width;
    const int64_t end = inside ? (behind < length ? behind : length) : begin;
    const uint8_t* line = rows.input + y * rows.width * pitch;
    for (int64_t i = 0; i < begin; ++i) lines[i] = padding;
    for (int64_t i = begin; i < end; ++i) lines[i] = line + (i - window.pad_left) * pitch;
    for (int64_t i = end; i < length; ++i) lines[i] = padding;
  }
}

}  // namespace lathe
