// The layers of LayerBuilder whose channels are on the last axis.
#include <cmath>

#include "zoo/layer_builder.h"

namespace lathe {
namespace {

/// Of x W for a weight (in, out) when `in_first`, else (out, in).
Moments after_product(const Moments& x, const Tensor& weight, bool in_first) {
  const std::span<const float> values = weight.values<float>();
  const size_t in = x.channels();
  const size_t out = values.size() / in;
  Moments y = same_moments(static_cast<int64_t>(out), 0, 0);
  for (size_t i = 0; i < in; ++i)
    for (size_t o = 0; o < out; ++o) {
      const double w = values[in_first ? i * out + o : o * in + i];
      y.mean[o] += w * x.mean[i];
      y.variance[o] += w * w * x.variance[i];
    }
  return y;
}

double unit_deviation(const Moments& x) {
  return 1 / std::sqrt(static_cast<double>(x.channels()) * x.mean_variance());
}

}  // namespace

ValueId LayerBuilder::linear(ValueId x, int64_t out, const std::string& name) {
  const Moments& before = expected(x);
  const ValueId weight = filters(
      dot(name, "weight"), {out, static_cast<int64_t>(before.channels())}, unit_deviation(before));
  const Moments after = after_product(before, *model_.graph.constant(weight), false);
  const ValueId bias = centred_bias(name, after);
  Attributes attributes;
  attributes.set("transB", int64_t{1});
  const ValueId y = op(OpKind::kGemm, {x, weight, bias}, name, std::move(attributes));
  expect(y, {std::vector<double>(after.channels(), 0), after.variance});
  return y;
}

ValueId LayerBuilder::product(ValueId x, int64_t out, const std::string& weight,
                              const std::string& name, double gain) {
  const Moments& before = expected(x);
  const ValueId numbers = normal(weight, {static_cast<int64_t>(before.channels()), out}, 0,
                                 gain * unit_deviation(before));
  Moments after = after_product(before, *model_.graph.constant(numbers), true);
  const ValueId y = op(OpKind::kMatMul, {x, numbers}, name);
  expect(y, std::move(after));
  return y;
}

ValueId LayerBuilder::projection(ValueId x, int64_t out, const std::string& name, double gain) {
  return product(x, out, dot(name, "weight"), name, gain);
}

ValueId LayerBuilder::scaled(ValueId x, int64_t channels, const std::string& name) {
  const ValueId scale = normal(dot(name, "weight"), {channels}, 1, kSpread);
  const ValueId y = op(OpKind::kMul, {x, scale}, name);
  expect(y, same_moments(channels, 0, 1 + kSpread * kSpread));
  return y;
}

ValueId LayerBuilder::dense(ValueId x, int64_t out, const std::string& name, double gain) {
  const ValueId sums = product(x, out, dot(name, "weight"), dot(name, "product"), gain);
  const Moments after = expected(sums);
  const ValueId bias = centred_bias(name, after);
  const ValueId y = op(OpKind::kAdd, {sums, bias}, name);
  expect(y, {std::vector<double>(after.channels(), 0), after.variance});
  return y;
}

ValueId LayerBuilder::layer_norm(ValueId x, const std::string& name, double epsilon) {
  const int64_t channels = static_cast<int64_t>(expected(x).channels());
  const ValueId scale = normal(dot(name, "weight"), {channels}, 1, kSpread);
  const ValueId shift = normal(dot(name, "bias"), {channels}, 0, kSpread);
  Attributes attributes;
  attributes.set("axis", int64_t{-1});
  attributes.set("epsilon", static_cast<float>(epsilon));
  const ValueId y = op(OpKind::kLayerNormalization, {x, scale, shift}, name, std::move(attributes));
  Moments after = same_moments(channels, 0, 0);
  const std::span<const float> scales = model_.graph.constant(scale)->values<float>();
  const std::span<const float> shifts = model_.graph.constant(shift)->values<float>();
  for (size_t c = 0; c < after.channels(); ++c) {
    after.mean[c] = shifts[c];
    after.variance[c] = static_cast<double>(scales[c]) * scales[c];
  }
  expect(y, std::move(after));
  return y;
}

ValueId LayerBuilder::embedding(ValueId indices, int64_t rows, int64_t width,
                                const std::string& name) {
  const ValueId table = normal(dot(name, "weight"), {rows, width}, 0, 0.5);
  const ValueId y = op(OpKind::kGather, {table, indices}, name);
  expect(y, same_moments(width, 0, 0.25));
  return y;
}

ValueId LayerBuilder::lstm(ValueId x, const LstmShape& shape, const std::string& name) {
  const Moments& before = expected(x);
  const int64_t in = static_cast<int64_t>(before.channels());
  const int64_t hidden = shape.hidden;
  const int64_t directions = shape.bidirectional ? 2 : 1;
  const int64_t gates = 4 * hidden;
  const ValueId weight =
      normal(dot(name, "weight_ih"), {directions, gates, in}, 0, unit_deviation(before));
  const ValueId recurrence = normal(dot(name, "weight_hh"), {directions, gates, hidden}, 0,
                                    1 / std::sqrt(static_cast<double>(hidden)));

  // Per direction the input's biases, then the recurrent ones. The means are taken away; forget
  // gates (third in ONNX's order i, o, f, c) start open, as is usual.
  const Moments after = after_product(before, *model_.graph.constant(weight), false);
  const ValueId noise = normal(dot(name, "bias"), {directions, 2 * gates}, 0, kSpread);
  const std::span<const float> drawn = model_.graph.constant(noise)->values<float>();
  std::vector<float> biases;
  for (int64_t d = 0; d < directions; ++d)
    for (int64_t i = 0; i < 2 * gates; ++i) {
      const size_t at = biases.size();
      const bool recurrent = i >= gates;
      double bias = recurrent && !shape.recurrent_bias ? 0 : drawn[at];
      if (!recurrent) bias -= after.mean[static_cast<size_t>(d * gates + i)];
      if (!recurrent && i / hidden == 2) bias += 1;
      biases.push_back(static_cast<float>(bias));
    }
  model_.graph.set_constant(noise, Tensor::of<float>({directions, 2 * gates}, biases));

  Node node;
  node.kind = OpKind::kLSTM;
  node.name = name;
  node.inputs = {x, weight, recurrence, noise};
  node.attributes.set("hidden_size", hidden);
  if (shape.bidirectional) node.attributes.set("direction", std::string("bidirectional"));
  const ValueId y = model_.graph.add_value(name);
  if (shape.last_only)
    node.outputs = {ValueId{}, y};
  else
    node.outputs = {y};
  infer(model_.graph.add_node(std::move(node)));
  expect(y, same_moments(hidden, 0, 0.12));
  return y;
}

}  // namespace lathe
