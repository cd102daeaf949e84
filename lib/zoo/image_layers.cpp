// The layers of LayerBuilder for images: N x C x H x W.
#include <cmath>

#include "zoo/layer_builder.h"

namespace lathe {
namespace {

// How much of the output each of `kernel` taps sees; the rest falls on padding.
std::vector<double> coverage(const Dim& in, const Dim& out, int64_t kernel, int64_t stride,
                             int64_t pad) {
  std::vector<double> seen(static_cast<size_t>(kernel), 1.0);
  for (int64_t tap = 0; tap < kernel && in.known() && out.known(); ++tap) {
    int64_t inside = 0;
    for (int64_t o = 0; o < out.size; ++o) {
      const int64_t at = o * stride + tap - pad;
      inside += at >= 0 && at < in.size ? 1 : 0;
    }
    seen[static_cast<size_t>(tap)] = static_cast<double>(inside) / static_cast<double>(out.size);
  }
  return seen;
}

}  // namespace

ValueId LayerBuilder::conv(ValueId x, const ConvShape& shape, const std::string& name) {
  const Moments& before = expected(x);
  const int64_t in = static_cast<int64_t>(before.channels()) / shape.groups;
  const int64_t k = shape.kernel;
  const int64_t pad = shape.pad < 0 ? (k - 1) / 2 : shape.pad;
  const double deviation = 1 / std::sqrt(static_cast<double>(in * k * k) * before.mean_variance());
  const ValueId weight = filters(dot(name, "weight"), {shape.out, in, k, k}, deviation);

  Attributes attributes;
  attributes.set("kernel_shape", std::vector<int64_t>{k, k});
  attributes.set("strides", std::vector<int64_t>{shape.stride, shape.stride});
  attributes.set("pads", std::vector<int64_t>{pad, pad, pad, pad});
  if (shape.groups != 1) attributes.set("group", shape.groups);
  // The bias needs the output's size, which the node tells once it stands.
  const ValueId y = op(OpKind::kConv, {x, weight}, name, std::move(attributes));

  const Dims& from = dims(x);
  const Dims& to = dims(y);
  const std::vector<double> rows = coverage(from[2], to[2], k, shape.stride, pad);
  const std::vector<double> columns = coverage(from[3], to[3], k, shape.stride, pad);
  const std::span<const float> values = model_.graph.constant(weight)->values<float>();
  Moments after = same_moments(shape.out, 0, 0);
  size_t at = 0;
  for (int64_t o = 0; o < shape.out; ++o) {
    const int64_t first = o / (shape.out / shape.groups) * in;
    double mean = 0;
    double variance = 0;
    for (int64_t i = 0; i < in; ++i) {
      const size_t channel = static_cast<size_t>(first + i);
      double sum = 0;
      double squares = 0;
      for (const double row : rows)
        for (const double column : columns) {
          const double w = values[at++];
          sum += w * row * column;
          squares += w * w * row * column;
        }
      mean += sum * before.mean[channel];
      variance += squares * before.variance[channel];
    }
    after.mean[static_cast<size_t>(o)] = mean;
    after.variance[static_cast<size_t>(o)] = variance;
  }
  if (shape.bias) {
    const ValueId bias = centred_bias(name, after);
    model_.graph.add_node_input(model_.graph.value(y).producer, bias);
    const std::span<const float> biases = model_.graph.constant(bias)->values<float>();
    for (size_t c = 0; c < after.channels(); ++c) after.mean[c] += biases[c];
  }
  expect(y, std::move(after));
  return y;
}

ValueId LayerBuilder::batch_norm(ValueId x, const std::string& name, double epsilon, double gain) {
  const Moments before = expected(x);
  const int64_t channels = static_cast<int64_t>(before.channels());
  const ValueId scale = normal(dot(name, "weight"), {channels}, gain, gain * kSpread);
  const ValueId shift = normal(dot(name, "bias"), {channels}, 0, gain * kSpread);
  const ValueId mean = floats(dot(name, "running_mean"), before.mean);
  const ValueId variance = floats(dot(name, "running_var"), before.variance);
  Attributes attributes;
  attributes.set("epsilon", static_cast<float>(epsilon));
  const ValueId y = op(OpKind::kBatchNormalization, {x, scale, shift, mean, variance}, name,
                       std::move(attributes));
  Moments after = before;
  const std::span<const float> scales = model_.graph.constant(scale)->values<float>();
  const std::span<const float> shifts = model_.graph.constant(shift)->values<float>();
  for (size_t c = 0; c < after.channels(); ++c) {
    after.mean[c] = shifts[c];
    after.variance[c] = static_cast<double>(scales[c]) * scales[c];
  }
  expect(y, std::move(after));
  return y;
}

ValueId LayerBuilder::conv_norm(ValueId x, const ConvShape& shape, const std::string& name,
                                double epsilon, double gain) {
  return batch_norm(conv(x, shape, name + ".0"), name + ".1", epsilon, gain);
}

ValueId LayerBuilder::max_pool(ValueId x, const PoolShape& shape, const std::string& name) {
  Attributes attributes;
  attributes.set("kernel_shape", std::vector<int64_t>{shape.kernel, shape.kernel});
  attributes.set("strides", std::vector<int64_t>{shape.stride_h, shape.stride_w});
  attributes.set("pads", std::vector<int64_t>{shape.pad_h, shape.pad_w, shape.pad_h, shape.pad_w});
  const ValueId y = op(OpKind::kMaxPool, {x}, name, std::move(attributes));
  expect(y, after_max_pool(expected(x), shape.kernel));
  return y;
}

ValueId LayerBuilder::global_average_pool(ValueId x, const std::string& name) {
  const ValueId y = op(OpKind::kGlobalAveragePool, {x}, name);
  const Dims& from = dims(x);
  expect(y, after_mean(expected(x), from[2].size * from[3].size));
  return y;
}

ValueId LayerBuilder::upsample(ValueId x, const std::string& name) {
  Attributes attributes;
  attributes.set("mode", std::string("nearest"));
  attributes.set("coordinate_transformation_mode", std::string("asymmetric"));
  attributes.set("nearest_mode", std::string("floor"));
  const ValueId scales = constant(dot(name, "scales"), Tensor::vector<float>({1, 1, 2, 2}));
  const ValueId y = op(OpKind::kResize, {x, ValueId{}, scales}, name, std::move(attributes));
  expect(y, expected(x));
  return y;
}

ValueId LayerBuilder::concat(const std::vector<ValueId>& parts, const std::string& name) {
  Attributes attributes;
  attributes.set("axis", int64_t{1});
  const ValueId y = op(OpKind::kConcat, parts, name, std::move(attributes));
  Moments all;
  for (const ValueId part : parts) {
    const Moments& each = expected(part);
    all.mean.insert(all.mean.end(), each.mean.begin(), each.mean.end());
    all.variance.insert(all.variance.end(), each.variance.begin(), each.variance.end());
  }
  expect(y, std::move(all));
  return y;
}

ValueId LayerBuilder::flatten(ValueId x, const std::string& name) {
  const ValueId y = op(OpKind::kFlatten, {x}, name);
  expect(y, expected(x));
  return y;
}

}  // namespace lathe
