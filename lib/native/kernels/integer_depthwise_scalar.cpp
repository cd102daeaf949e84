// The depthwise convolution in plain C++: the fallback, and what the other variants are tested
// against.
#include "kernels/integer_depthwise_lines.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_epilogue_scalar.h"

namespace lathe {
namespace {

int32_t sum_of_taps(const PackedDepthwise& packed, const uint8_t* const* lines, int64_t length,
                    int64_t channel) {
  const DepthwiseWindow& window = packed.window;
  const int8_t* weight = packed.weights.data() + channel;
  int32_t sum = 0;
  for (int64_t r = 0; r < window.kernel_height; ++r)
    for (int64_t k = 0; k < window.kernel_width; ++k, weight += packed.channels)
      sum += int32_t{lines[r * length + k * window.dilation_width][channel]} * *weight;
  return sum;
}

void run(const DepthwiseRows& rows, const uint8_t** lines) {
  const PackedDepthwise& packed = *rows.depthwise;
  const int64_t length = line_length(rows);
  for (int64_t y = rows.row_begin; y < rows.row_end; ++y) {
    point_at_row(rows, y, length, lines);
    for (int64_t x = 0; x < rows.output_width; ++x) {
      const int64_t pixel = y * rows.output_width + x;
      for (int64_t c = 0; c < packed.channels; ++c) {
        const int32_t sum = sum_of_taps(packed, lines + x * packed.window.stride_width, length, c);
        const auto place = static_cast<size_t>(c);
        store_finished(std::fma(static_cast<float>(sum), packed.scale[place], packed.bias[place]),
                       *rows.epilogue, rows.residual, pixel * rows.residual_pitch + c, rows.output,
                       pixel * rows.output_pitch + c);
      }
    }
  }
}

}  // namespace

const DepthwiseVariant& depthwise_scalar() {
  static constexpr DepthwiseVariant kVariant = {"depthwise:scalar", pack_depthwise_scalar, run};
  return kVariant;
}

}  // namespace lathe
