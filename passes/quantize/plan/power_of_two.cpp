#include "quantize/plan/power_of_two.h"

#include <cmath>
#include <vector>

#include "quantize/plan/channel_index.h"

namespace lathe {

float power_of_two_above(float scale) {
  int exponent = 0;
  const float mantissa = std::frexp(scale, &exponent);  // in [0.5, 1)
  return std::ldexp(1.0f, mantissa == 0.5f ? exponent - 1 : exponent);
}

bool is_power_of_two(float scale) {
  int exponent = 0;
  return std::isfinite(scale) && scale > 0 && std::frexp(scale, &exponent) == 0.5f;
}

float power_of_two_for(const Histogram& histogram, float scale, int32_t qmin, int32_t qmax) {
  const float above = power_of_two_above(scale);
  if (above == scale) return scale;
  const auto error = [&](float candidate) {
    const double reach = static_cast<double>(candidate) * qmax;
    return quantization_error(histogram, {-reach, reach}, {qmin, qmax, true});
  };
  return error(above / 2) < error(above) ? above / 2 : above;
}

void round_weight_scales(const Tensor& weight, int32_t qmax, QuantParams& params) {
  const auto values = weight.values<float>();
  const ChannelIndex channel = channel_index(weight.shape(), params.axis);
  const size_t channels = params.scales.size();
  std::vector<float> above(channels);
  std::vector<double> error_above(channels, 0.0);
  std::vector<double> error_below(channels, 0.0);
  for (size_t c = 0; c < channels; ++c) above[c] = power_of_two_above(params.scales[c]);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = channel(i);
    const auto squared = [&](float scale) {
      const double difference =
          dequantize(quantize(values[i], scale, 0, -qmax, qmax), scale, 0) - values[i];
      return difference * difference;
    };
    error_above[c] += squared(above[c]);
    error_below[c] += squared(above[c] / 2);
  }
  for (size_t c = 0; c < channels; ++c) {
    if (above[c] == params.scales[c]) continue;
    params.scales[c] = error_below[c] < error_above[c] ? above[c] / 2 : above[c];
  }
}

}  // namespace lathe
