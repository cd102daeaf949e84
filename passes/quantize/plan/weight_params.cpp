#include "quantize/plan/weight_params.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/error.h"
#include "quantize/plan/channel_index.h"

namespace lathe {
void check_finite_weight(const Tensor& tensor, const std::string& place) {
  int64_t bad = 0;
  for (const float value : tensor.values<float>()) bad += std::isfinite(value) ? 0 : 1;
  if (bad > 0)
    throw bad_input("model.non_finite_weight",
                    fmt::format("{} of {} weights are NaN or infinite", bad, tensor.numel()), place,
                    "fix the model, or leave the node out with --exclude");
}

QuantParams weight_params(const Tensor& weight, DType dtype, int64_t axis, bool reduce_range) {
  const ChannelIndex channel = channel_index(weight.shape(), axis);
  std::vector<float> largest(channel.channels, 0.0f);
  const auto values = weight.values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    float& seen = largest[channel(i)];
    seen = std::max(seen, std::fabs(values[i]));
  }
  QuantParams params;
  params.dtype = dtype;
  params.axis = axis;
  const int32_t qmax = weight_qmax(dtype, reduce_range);
  const float overall = largest.empty() ? 0.0f : *std::max_element(largest.begin(), largest.end());
  for (const float max_abs : largest) {
    // A channel of zeros gets a scale from the whole weight; widen_for_bias() raises it if needed.
    const float used = max_abs > 0 ? max_abs : overall * 1e-4f;
    params.scales.push_back(choose_symmetric(used, qmax).scale);
    params.zero_points.push_back(0);
  }
  return params;
}

QuantParams bias_params(const QuantParams& weight, float input_scale) {
  QuantParams params;
  params.dtype = DType::kInt32;
  params.axis = weight.axis < 0 ? -1 : 0;
  for (const float scale : weight.scales) params.scales.push_back(input_scale * scale);
  params.zero_points.assign(params.scales.size(), 0);
  return params;
}

void widen_for_bias(QuantParams& weight, const Tensor& bias, float input_scale) {
  const auto values = bias.values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    float& scale = weight.scales.at(weight.scales.size() == 1 ? 0 : i);
    const double needed = std::fabs(static_cast<double>(values[i])) / (input_scale * kLargestBias);
    scale = std::max(scale, static_cast<float>(needed));
  }
}

int32_t weight_qmax(DType dtype, bool reduce_range) {
  return static_cast<int32_t>(integer_max(dtype) >> (reduce_range ? 1 : 0));
}

Tensor quantize_tensor(const Tensor& tensor, const QuantParams& params, bool reduce_range) {
  const ChannelIndex channel = channel_index(tensor.shape(), params.axis);
  const auto values = tensor.values<float>();
  const bool wide = params.dtype == DType::kInt32;
  // Symmetric int8 leaves -128 out, so that every integer has its negative.
  const int32_t qmax = weight_qmax(params.dtype, reduce_range);
  const auto qmin =
      is_signed_integer(params.dtype) ? -qmax : static_cast<int32_t>(integer_min(params.dtype));
  std::vector<int32_t> integers(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = channel(i);
    if (wide) {
      const double steps = std::nearbyint(static_cast<double>(values[i]) / params.scales[c]);
      // Without a scale no integer stands for the value; NaN has no cast.
      if (params.scales[c] != 0 && !std::isnan(steps))
        integers[i] = static_cast<int32_t>(std::clamp(steps, -2147483647.0, 2147483647.0));
    } else {
      integers[i] = quantize(values[i], params.scales[c], params.zero_points[c], qmin, qmax);
    }
  }
  return integer_tensor(params.dtype, tensor.shape(), integers);
}

Tensor integer_tensor(DType dtype, const Shape& shape, const std::vector<int32_t>& integers) {
  const auto bits = static_cast<size_t>(dtype_bits(dtype));
  const auto count = static_cast<int64_t>(integers.size());
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype, count)));
  const size_t width = bits / 8;
  for (size_t i = 0; i < integers.size(); ++i) {
    const auto integer = static_cast<uint32_t>(integers[i]);
    if (width > 0) {
      std::memcpy(bytes.data() + i * width, &integer, width);
    } else {
      const uint32_t mask = (1U << bits) - 1;
      bytes[i * bits / 8] |= static_cast<std::byte>((integer & mask) << (i * bits % 8));
    }
  }
  return Tensor::from_bytes(dtype, shape, std::move(bytes));
}

}  // namespace lathe
