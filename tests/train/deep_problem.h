// Networks deep enough to be cut into segments. Include before doctest.
#pragma once

#include <string>

#include "small_problem.h"

namespace lathe::test {

/// x [N, 3, 8, 8] - Conv - BatchNormalization - `blocks` residual blocks of 8 channels - mean over
/// space - Gemm - scores [N, 3]. A skip leads from the first normalization to behind the last
/// block.
inline Graph residual_network(int blocks) {
  Graph graph;
  uint64_t stream = 40;
  const auto constant = [&](Tensor tensor) { return graph.add_constant("", std::move(tensor)); };
  const auto filled = [&](float value) {
    return constant(Tensor::vector<float>(std::vector<float>(8, value)));
  };
  const auto conv = [&](ValueId x, int64_t channels) {
    Attributes attributes;
    attributes.set("pads", std::vector<int64_t>{1, 1, 1, 1});
    const ValueId weight = constant(random_tensor({8, channels, 3, 3}, ++stream, 0.2));
    const ValueId y = graph.add_op(OpKind::kConv, {x, weight}, "", attributes);
    return graph.add_op(OpKind::kBatchNormalization,
                        {y, filled(1), filled(0.1F), filled(0), filled(1)}, "");
  };
  const auto relu = [&](ValueId x) { return graph.add_op(OpKind::kRelu, {x}, ""); };
  const ValueId x = graph.add_input(
      "x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(3), Dim::of(8), Dim::of(8)}));
  const ValueId stem = conv(x, 3);
  ValueId y = relu(stem);
  for (int i = 0; i < blocks; ++i) {
    const ValueId inner = conv(relu(conv(y, 8)), 8);
    y = relu(graph.add_op(OpKind::kAdd, {inner, y}, ""));
  }
  y = graph.add_op(OpKind::kAdd, {y, stem}, "");
  y = graph.add_op(OpKind::kGlobalAveragePool, {y}, "");
  y = graph.add_op(OpKind::kFlatten, {y}, "");
  y = graph.add_op(OpKind::kGemm,
                   {y, constant(random_tensor({8, 3}, 38)), constant(random_tensor({3}, 39))},
                   "scores");
  graph.set_outputs({y});
  infer_shapes(graph);
  return graph;
}

/// x [12, N, 4] - `layers` LSTMs of 6 units - y [12, N, 6].
inline Graph recurrent_network(int layers) {
  Graph graph;
  ValueId y = graph.add_input(
      "x", tensor_type(DType::kFloat32, Dims{Dim::of(12), Dim::named("N"), Dim::of(4)}));
  const ValueId axis = graph.add_constant("axis", Tensor::vector<int64_t>({1}));
  for (int i = 0; i < layers; ++i) {
    const auto random = [&](const Shape& shape, uint64_t stream) {
      return graph.add_constant("",
                                random_tensor(shape, 60 + 10 * static_cast<uint64_t>(i) + stream));
    };
    Attributes attributes;
    attributes.set("hidden_size", int64_t{6});
    y = graph.add_op(
        OpKind::kLSTM,
        {y, random({1, 24, i == 0 ? 4 : 6}, 1), random({1, 24, 6}, 2), random({1, 48}, 3)}, "",
        attributes);
    y = graph.add_op(OpKind::kSqueeze, {y, axis}, "");
  }
  graph.set_outputs({y});
  infer_shapes(graph);
  return graph;
}

inline at::Tensor random_input(const Shape& shape) {
  return to_runtime(random_tensor(shape, 21, 1)).tensor->clone();
}

/// Gradients of a weighted sum of the outputs by parameter name, after forward and backward.
inline std::map<std::string, at::Tensor> gradients_of(TrainableGraph& graph, const at::Tensor& x,
                                                      at::Tensor* outputs = nullptr) {
  const at::Tensor y = graph.forward({x})[0];
  const at::Tensor weights = at::cos(at::arange(y.numel(), at::kFloat)).reshape(y.sizes());
  (y * y * weights).sum().backward();
  if (outputs != nullptr) *outputs = y.detach();
  std::map<std::string, at::Tensor> gradients;
  for (Parameter& parameter : graph.parameters()) {
    if (!parameter.tensor->grad().defined()) continue;
    gradients[parameter.name] = parameter.tensor->grad().clone();
    parameter.tensor->mutable_grad().reset();
  }
  return gradients;
}

}  // namespace lathe::test
