#include "score_case.h"

#include <algorithm>
#include <random>

#include "ops/op_row.h"

namespace lathe::test {
namespace {

ChannelUse use_of(const Graph& graph, const char* node_name, size_t input, int16_t axis,
                  ChannelRole role, int32_t repeat = 1) {
  ChannelUse use;
  use.node = graph.find_node(node_name);
  use.constant = graph.node(use.node).inputs[input];
  use.axis = axis;
  use.role = role;
  const int64_t size = graph.constant(use.constant)->shape()[static_cast<size_t>(axis)];
  for (int32_t i = 0; i < size; ++i) use.channel.push_back(i / repeat);
  return use;
}

Tensor sliced_constant(const Tensor& tensor, int16_t axis, const std::vector<size_t>& positions) {
  Shape shape = tensor.shape();
  size_t outer = 1;
  size_t inner = 1;
  for (size_t i = 0; i < shape.size(); ++i)
    if (static_cast<int16_t>(i) != axis)
      (static_cast<int16_t>(i) < axis ? outer : inner) *= static_cast<size_t>(shape[i]);
  const auto length = static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  const auto values = tensor.values<float>();
  std::vector<float> left;
  for (size_t o = 0; o < outer; ++o)
    for (const size_t position : positions)
      for (size_t i = 0; i < inner; ++i)
        left.push_back(values[(o * length + position) * inner + i]);
  shape[static_cast<size_t>(axis)] = static_cast<int64_t>(positions.size());
  return Tensor::of<float>(shape, left);
}

}  // namespace

Tensor normal_tensor(const Shape& shape, uint64_t seed, float scale) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = scale * normal(random);
  return Tensor::of<float>(shape, values);
}

ScoreCase small_network() {
  ScoreCase result;
  Graph& g = result.graph;
  const auto constant = [&](const char* name, const Shape& shape, uint64_t seed, float scale) {
    return g.add_constant(name, normal_tensor(shape, seed, scale));
  };
  const ValueId x = g.add_input("x", tensor_type(DType::kFloat32, dims_of({1, 3, 8, 8})));
  Attributes padded;
  padded.set("pads", std::vector<int64_t>{1, 1, 1, 1});
  ValueId y = g.add_op(OpKind::kConv,
                       {x, constant("w1", {8, 3, 3, 3}, 1, 0.3f), constant("b1", {8}, 2, 0.3f)},
                       "first_out", padded, "first");
  y = g.add_op(OpKind::kBatchNormalization,
               {y, constant("gamma", {8}, 3, 1), constant("beta", {8}, 4, 0.2f),
                constant("mean", {8}, 5, 0.1f),
                g.add_constant("variance", Tensor::of<float>({8}, std::vector<float>(8, 0.8f)))},
               "norm_out", {}, "norm");
  y = g.add_op(OpKind::kRelu, {y}, "first_relu");
  Attributes strided;
  strided.set("strides", std::vector<int64_t>{2, 2});
  y = g.add_op(OpKind::kConv,
               {y, constant("w2", {6, 8, 3, 3}, 6, 0.15f), constant("b2", {6}, 7, 0.2f)},
               "second_out", strided, "second");
  y = g.add_op(OpKind::kRelu, {y}, "second_relu");
  y = g.add_op(OpKind::kFlatten, {y}, "flat");
  Attributes transposed;
  transposed.set("transB", int64_t{1});
  y = g.add_op(OpKind::kGemm, {y, constant("w3", {5, 54}, 8, 0.2f), constant("b3", {5}, 9, 0.2f)},
               "y", transposed, "last");
  g.set_outputs({y});
  infer_shapes(g);

  ChannelGroup first;
  first.name = "first";
  first.size = 8;
  first.uses = {use_of(g, "first", 1, 0, ChannelRole::kProduces),
                use_of(g, "first", 2, 0, ChannelRole::kProduces),
                use_of(g, "norm", 1, 0, ChannelRole::kScales),
                use_of(g, "norm", 2, 0, ChannelRole::kScales),
                use_of(g, "norm", 3, 0, ChannelRole::kScales),
                use_of(g, "norm", 4, 0, ChannelRole::kScales),
                use_of(g, "second", 1, 1, ChannelRole::kConsumes)};
  ChannelGroup second;
  second.name = "second";
  second.size = 6;
  second.uses = {use_of(g, "second", 1, 0, ChannelRole::kProduces),
                 use_of(g, "second", 2, 0, ChannelRole::kProduces),
                 use_of(g, "last", 1, 1, ChannelRole::kConsumes, 9)};
  result.groups = {first, second};
  return result;
}

RemovalOrder order_of(const ScoreCase& network, const ChoiceOptions& options) {
  return {network.graph, network.groups,
          score_channels(network.graph, network.groups, ChannelCriterion::kL2, {}), options};
}

Graph sliced(const ScoreCase& network, const KeptChannels& kept) {
  Graph graph = network.graph;
  for (size_t g = 0; g < network.groups.size(); ++g)
    for (const ChannelUse& use : network.groups[g].uses) {
      std::vector<size_t> positions;
      for (size_t i = 0; i < use.channel.size(); ++i)
        if (std::find(kept[g].begin(), kept[g].end(), use.channel[i]) != kept[g].end())
          positions.push_back(i);
      graph.set_constant(use.constant,
                         sliced_constant(*graph.constant(use.constant), use.axis, positions));
    }
  infer_shapes(graph);
  return graph;
}

SampleSource smooth_samples(const Shape& shape, size_t count, uint64_t seed) {
  SampleSource source;
  source.count = count;
  source.sample = [shape, seed](size_t sample) {
    std::mt19937_64 random(seed * 1000003 + sample);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(element_count(shape)));
    const float common = normal(random);
    float last = 0;
    for (float& value : values) {
      last = 0.7f * last + 0.7f * normal(random);
      value = last + common;
    }
    return std::vector<Tensor>{Tensor::of<float>(shape, values)};
  };
  return source;
}

}  // namespace lathe::test
