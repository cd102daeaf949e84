#include "program/convolution_bands.h"

#include <algorithm>

namespace lathe {

std::vector<ConvolutionBand> convolution_bands(const LineWindow& window, int64_t output_lines,
                                               int64_t most) {
  const ConvolutionBand whole{0, output_lines, 0, window.lines, window.pad_begin, window.pad_end};
  const int64_t height = (output_lines + most - 1) / most;
  if (height >= output_lines) return {whole};
  std::vector<ConvolutionBand> bands;
  for (int64_t first = 0; first < output_lines; first += height) {
    ConvolutionBand band;
    band.output = first;
    band.output_lines = std::min(height, output_lines - first);
    const int64_t begin = first * window.stride - window.pad_begin;
    const int64_t end =
        begin + (band.output_lines - 1) * window.stride + (window.kernel - 1) * window.dilation + 1;
    band.input = std::max<int64_t>(begin, 0);
    band.input_lines = std::min(end, window.lines) - band.input;
    if (band.input_lines <= 0) return {whole};
    band.pad_begin = band.input - begin;
    band.pad_end = end - band.input - band.input_lines;
    bands.push_back(band);
  }
  return bands;
}

}  // namespace lathe
