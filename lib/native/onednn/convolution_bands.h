// A convolution cut along one axis of its output.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

/// A window that moves over lines of an axis, as ONNX's Conv has it.
struct LineWindow {
  int64_t lines = 1;  // of the input
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad_begin = 0;
  int64_t pad_end = 0;
};

/// Lines of the output, those of the input that they are computed from, and what lies beyond these.
struct ConvolutionBand {
  int64_t output = 0;
  int64_t output_lines = 1;
  int64_t input = 0;
  int64_t input_lines = 1;
  int64_t pad_begin = 0;
  int64_t pad_end = 0;
};

/// At most `most` bands, which cover the output; one where another would see nothing but padding.
/// `transposed`: the window is that of ConvTranspose, and what lies beyond a band is cut off it.
std::vector<ConvolutionBand> convolution_bands(const LineWindow& window, int64_t output_lines,
                                               int64_t most, bool transposed = false);

}  // namespace lathe
