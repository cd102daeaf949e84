// A small network with BatchNormalization and a data set that it can learn. Include before doctest.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "ir/seeded_random.h"
#include "ops/op_row.h"
#include "train/losses.h"
#include "train/teaching.h"
#include "train/train.h"

namespace lathe::test {

inline Tensor random_tensor(const Shape& shape, uint64_t stream, double scale = 0.5) {
  SeededRandom random(11, stream);
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = static_cast<float>(random.normal() * scale);
  return Tensor::of<float>(shape, values);
}

/// x [N, 4] - Gemm - BatchNormalization - Relu - Gemm - scores [N, 3] - Softmax.
inline Graph small_network() {
  Graph graph;
  const ValueId x =
      graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(4)}));
  const auto constant = [&](const char* name, Tensor tensor) {
    return graph.add_constant(name, std::move(tensor));
  };
  const ValueId zeros = constant("zeros", Tensor::vector<float>(std::vector<float>(8, 0)));
  const ValueId ones = constant("ones", Tensor::vector<float>(std::vector<float>(8, 1)));
  const ValueId a = graph.add_op(
      OpKind::kGemm, {x, constant("w1", random_tensor({4, 8}, 1)), zeros}, "a", {}, "first");
  // Shared constants, as exporters write them.
  const ValueId b =
      graph.add_op(OpKind::kBatchNormalization, {a, ones, zeros, zeros, ones}, "b", {}, "norm");
  const ValueId c = graph.add_op(OpKind::kRelu, {b}, "c", {}, "relu");
  const ValueId d = graph.add_op(
      OpKind::kGemm,
      {c, constant("w2", random_tensor({8, 3}, 2)), constant("b2", random_tensor({3}, 3))},
      "scores", {}, "second");
  const ValueId y = graph.add_op(OpKind::kSoftmax, {d}, "y", {}, "softmax");
  graph.set_outputs({y});
  infer_shapes(graph);
  return graph;
}

/// Class of a point: the largest of three fixed linear functions.
inline TrainingData small_data(size_t count = 100) {
  TrainingData data;
  data.count = count;
  data.sample = [](size_t index) {
    SeededRandom random(5, index);
    std::vector<float> x(4);
    for (float& value : x) value = static_cast<float>(random.normal());
    const std::vector<float> score = {x[0] - x[1], x[2] + x[1], -x[0] + x[3]};
    const int64_t label = std::max_element(score.begin(), score.end()) - score.begin();
    return Sample{{at::tensor(x).reshape({1, 4})}, {at::scalar_tensor(label, at::kLong)}};
  };
  return data;
}

inline TrainableOptions on_scores(const Graph& graph) {
  TrainableOptions options;
  options.outputs = {logits_of(graph, graph.outputs()[0])};
  return options;
}

inline Loss label_loss() {
  return [](const std::vector<at::Tensor>& outputs, const Batch& batch) {
    return cross_entropy(outputs[0], batch.targets[0]);
  };
}

inline double accuracy(const TrainableGraph& graph, const TrainingData& data) {
  std::vector<size_t> all(data.count);
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  const Batch batch = make_batch(data, all);
  const at::Tensor scores = graph.evaluate(batch.inputs)[0];
  return scores.argmax(1).eq(batch.targets[0]).to(at::kDouble).mean().item<double>();
}

inline double loss_of(const Graph& graph, const Teaching& teaching, const Batch& batch) {
  TrainableOptions options;
  options.outputs = teaching.outputs;
  return teaching.loss(TrainableGraph(graph, options).evaluate(batch.inputs), batch).item<double>();
}

inline bool same_state(const std::map<std::string, Tensor>& a,
                       const std::map<std::string, Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a) {
    const auto other = b.find(name);
    if (other == b.end() || !other->second.identical(tensor)) return false;
  }
  return true;
}

}  // namespace lathe::test
