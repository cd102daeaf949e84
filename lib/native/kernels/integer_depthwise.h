// Depthwise convolutions of uint8 NHWC images with int8 weights, summed exactly in int32. The
// epilogue is that of integer_product.h, and all processors give the same bytes here too.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/integer_product.h"

namespace lathe {

/// Which pixels make an output. All kernels and strides work; square kernels of 3, 5 and 7 with a
/// horizontal stride of 1 or 2 and no horizontal dilation are fast. Padding is not negative.
struct DepthwiseWindow {
  int64_t kernel_height = 1;
  int64_t kernel_width = 1;
  int64_t stride_height = 1;
  int64_t stride_width = 1;
  int64_t dilation_height = 1;
  int64_t dilation_width = 1;
  int64_t pad_top = 0;
  int64_t pad_left = 0;
};

/// int8 weights in the order that a variant reads, with the factors and terms of each channel.
struct PackedDepthwise {
  KernelIsa isa = KernelIsa::kScalar;
  std::string_view name;  // of its instructions
  int64_t channels = 0;
  DepthwiseWindow window;
  /// A result before clamping may exceed what converts to int32.
  bool may_overflow = false;
  std::vector<int8_t> weights;
  std::vector<float> scale;  // by packed channel
  std::vector<float> bias;
  std::vector<int32_t> start;    // of the sums, as PackedProduct::start
  std::vector<uint8_t> padding;  // a pixel of zero points
};

/// `weights`: channels x kernel_height x kernel_width. `scale` and `bias`: one per channel; the
/// bias contains -zero_point * (sum of the channel's weights) * scale.
PackedDepthwise pack_depthwise(KernelIsa isa, const int8_t* weights, int64_t channels,
                               const DepthwiseWindow& window, const float* scale, const float* bias,
                               uint8_t zero_point);

/// Rows `row_begin` to `row_end` of the output of one image. Rows may be divided among threads.
struct DepthwiseRows {
  const PackedDepthwise* depthwise = nullptr;
  const ProductEpilogue* epilogue = nullptr;
  /// height x width pixels, from pixel to pixel `input_pitch` bytes.
  const uint8_t* input = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int64_t input_pitch = 0;
  /// The first pixel of the whole output, not of row_begin; pitches are elements from pixel to
  /// pixel. The residual may lie where the output goes.
  void* output = nullptr;
  int64_t output_width = 0;
  int64_t output_pitch = 0;
  const uint8_t* residual = nullptr;
  int64_t residual_pitch = 0;
  int64_t row_begin = 0;
  int64_t row_end = 0;
};

/// Pointers to pixels that a run needs room for, whatever its rows.
size_t depthwise_lines(const DepthwiseRows& rows);
void run_depthwise(const DepthwiseRows& rows, const uint8_t** lines);

}  // namespace lathe
