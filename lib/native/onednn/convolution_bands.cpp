#include "onednn/convolution_bands.h"

#include <algorithm>

namespace lathe {
namespace {

/// What the band's lines are computed from, and what lies beyond that.
void find_input(ConvolutionBand& band, const LineWindow& window) {
  const int64_t begin = band.output * window.stride - window.pad_begin;
  const int64_t end =
      begin + (band.output_lines - 1) * window.stride + (window.kernel - 1) * window.dilation + 1;
  band.input = std::max<int64_t>(begin, 0);
  band.input_lines = std::min(end, window.lines) - band.input;
  band.pad_begin = band.input - begin;
  band.pad_end = end - band.input - band.input_lines;
}

void find_transposed_input(ConvolutionBand& band, const LineWindow& window) {
  const int64_t reach = (window.kernel - 1) * window.dilation;
  const int64_t begin = band.output + window.pad_begin;  // in the output before it is cut
  const int64_t last = begin + band.output_lines - 1;
  band.input = (std::max<int64_t>(begin - reach, 0) + window.stride - 1) / window.stride;
  band.input_lines = std::min(last / window.stride, window.lines - 1) - band.input + 1;
  band.pad_begin = begin - band.input * window.stride;
  band.pad_end =
      (band.input_lines - 1) * window.stride + reach + 1 - band.pad_begin - band.output_lines;
}

}  // namespace

std::vector<ConvolutionBand> convolution_bands(const LineWindow& window, int64_t output_lines,
                                               int64_t most, bool transposed) {
  const ConvolutionBand whole{0, output_lines, 0, window.lines, window.pad_begin, window.pad_end};
  const int64_t height = (output_lines + most - 1) / most;
  if (height >= output_lines) return {whole};
  std::vector<ConvolutionBand> bands;
  for (int64_t first = 0; first < output_lines; first += height) {
    ConvolutionBand band;
    band.output = first;
    band.output_lines = std::min(height, output_lines - first);
    transposed ? find_transposed_input(band, window) : find_input(band, window);
    if (band.input_lines <= 0 || band.pad_begin < 0 || band.pad_end < 0) return {whole};
    bands.push_back(band);
  }
  return bands;
}

}  // namespace lathe
