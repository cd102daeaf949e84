// Normalizations over batches, channels and trailing axes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "evaluate/evaluate.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

double epsilon(const EvaluateCall& call) { return call.attributes().float_or("epsilon", 1e-5F); }

/// An input that holds one number per channel, in the type of `x`.
at::Tensor channel_parameter(const EvaluateCall& call, size_t index, int64_t channels,
                             const at::Tensor& x) {
  const at::Tensor& parameter = call.input(index);
  call.require(parameter.dim() == 1 && parameter.size(0) == channels,
               fmt::format("input {} must have {} elements", index, channels));
  return parameter.to(x.scalar_type());
}

std::vector<at::Tensor> batch_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(x.dim() >= 1, "a scalar has no channels");
  const at::Tensor batched = x.dim() == 1 ? x.unsqueeze(1) : x;
  const int64_t channels = batched.size(1);
  const at::Tensor scale = channel_parameter(call, 1, channels, x);
  const at::Tensor bias = channel_parameter(call, 2, channels, x);
  const at::Tensor mean = channel_parameter(call, 3, channels, x);
  const at::Tensor variance = channel_parameter(call, 4, channels, x);
  if (call.attributes().int_or("training_mode", 0) == 0)
    return {at::batch_norm(batched, scale, bias, mean, variance, false, 0.0, epsilon(call), false)
                .reshape(x.sizes())};
  call.require(x.numel() > 0, "an empty batch has no statistics");
  // ATen's training mode: gradients flow through the statistics too. With momentum 1 the running
  // averages become the batch's own, the variance that of a sample.
  at::Tensor batch_mean = at::zeros({channels}, x.options());
  at::Tensor batch_variance = at::zeros({channels}, x.options());
  const at::Tensor y = at::batch_norm(batched, scale, bias, batch_mean, batch_variance, true, 1.0,
                                      epsilon(call), false);
  const auto count = static_cast<double>(x.numel() / channels);
  batch_variance = count > 1 ? batch_variance * ((count - 1) / count)  // of the population
                             : at::zeros_like(batch_variance);
  const double momentum = call.attributes().float_or("momentum", 0.9F);
  return {y.reshape(x.sizes()), mean * momentum + batch_mean * (1.0 - momentum),
          variance * momentum + batch_variance * (1.0 - momentum)};
}

std::vector<at::Tensor> instance_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  spatial_sizes(call, x);
  const at::Tensor scale = channel_parameter(call, 1, x.size(1), x);
  const at::Tensor bias = channel_parameter(call, 2, x.size(1), x);
  return {at::instance_norm(x, scale, bias, {}, {}, true, 0.0, epsilon(call), false)};
}

std::vector<at::Tensor> layer_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(x.dim() >= 1, "a scalar has no axis");
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", -1), x.dim());
  const at::IntArrayRef shape = x.sizes().slice(static_cast<size_t>(axis));
  at::Tensor scale = call.input(1).to(x.scalar_type());
  at::Tensor bias = call.has(2) ? call.input(2).to(x.scalar_type()) : at::Tensor();
  const bool direct = scale.sizes() == shape && (!bias.defined() || bias.sizes() == shape);
  const auto optional = [&](const at::Tensor& t) {
    return direct && t.defined() ? std::optional<at::Tensor>(t) : std::nullopt;
  };
  const auto weight = optional(scale);
  const auto offset = optional(bias);
  auto [y, mean, deviation] =
      at::native_layer_norm(x, shape, weight ? c10::make_optional(*weight) : c10::nullopt,
                            offset ? c10::make_optional(*offset) : c10::nullopt, epsilon(call));
  if (!direct) {
    y = y * scale;
    if (bias.defined()) y = y + bias;
    call.require(y.sizes() == x.sizes(), "scale or bias does not broadcast to the input");
  }
  return {y, mean, deviation};
}

std::vector<at::Tensor> group_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  spatial_sizes(call, x);
  const int64_t groups = call.attributes().required_int("num_groups");
  call.require(groups >= 1 && x.size(1) >= 1 && x.size(1) % groups == 0,
               fmt::format("num_groups {} does not divide {} channels", groups, x.size(1)));
  const at::Tensor scale = channel_parameter(call, 1, x.size(1), x);
  const at::Tensor bias = channel_parameter(call, 2, x.size(1), x);
  return {at::group_norm(x, groups, scale, bias, epsilon(call))};
}

std::vector<at::Tensor> rms_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(x.dim() >= 1, "a scalar has no axis");
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", -1), x.dim());
  std::vector<int64_t> axes;
  for (int64_t i = axis; i < x.dim(); ++i) axes.push_back(i);
  const at::Tensor mean_square = at::mean(x * x, axes, true);
  const at::Tensor y = x / at::sqrt(mean_square + epsilon(call)) * call.input(1);
  call.require(y.sizes() == x.sizes(), "scale does not broadcast to the input");
  return {y};
}

std::vector<at::Tensor> lrn(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(x.dim() >= 2, "LRN needs a channel axis");
  const int64_t size = call.attributes().required_int("size");
  call.require(size >= 1, fmt::format("size {} is not positive", size));
  const double alpha = call.attributes().float_or("alpha", 0.0001F);
  const double beta = call.attributes().float_or("beta", 0.75F);
  const double bias = call.attributes().float_or("bias", 1.0F);
  if (x.numel() == 0) return {x};
  // Windows that reach beyond all channels see nothing more there.
  const int64_t before = std::min((size - 1) / 2, x.size(1));
  const int64_t after = std::min(size / 2, x.size(1));
  at::Tensor squares = (x * x).reshape({x.size(0), 1, x.size(1), -1});
  squares = at::constant_pad_nd(squares, {0, 0, before, after});
  const at::Tensor sums =
      at::avg_pool2d(squares, {before + after + 1, 1}, {1, 1}, {0, 0}, false, true, 1)
          .reshape(x.sizes());
  return {x / at::pow(sums * (alpha / static_cast<double>(size)) + bias, beta)};
}

constexpr std::array kNormalizationOps{
    EvaluateRow{OpKind::kBatchNormalization, batch_normalization},
    EvaluateRow{OpKind::kGroupNormalization, group_normalization},
    EvaluateRow{OpKind::kInstanceNormalization, instance_normalization},
    EvaluateRow{OpKind::kLRN, lrn},
    EvaluateRow{OpKind::kLayerNormalization, layer_normalization},
    EvaluateRow{OpKind::kRMSNormalization, rms_normalization},
};

}  // namespace

std::span<const EvaluateRow> normalization_ops() { return kNormalizationOps; }

}  // namespace lathe
