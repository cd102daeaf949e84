// Gradients by the weights against finite differences.
#include <ATen/ATen.h>

#include <cmath>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "ops/op_row.h"
#include "prune/channel_scores.h"
#include "prune/loss_gradients.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

Tensor numbers(const Shape& shape, uint64_t stream) {
  SeededRandom random(3, stream);
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = static_cast<float>(random.normal() * 0.5);
  return Tensor::of<float>(shape, values);
}

// x [1, 2, 5, 5] - Conv 4 - BatchNormalization - Relu - GlobalAveragePool - Flatten - Gemm 3.
Graph conv_network() {
  Graph graph;
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, dims_of({1, 2, 5, 5})));
  const auto constant = [&](const char* name, const Shape& shape, uint64_t stream) {
    return graph.add_constant(name, numbers(shape, stream));
  };
  const ValueId conv = graph.add_op(
      OpKind::kConv, {x, constant("w", {4, 2, 3, 3}, 1), constant("b", {4}, 2)}, "conv");
  const ValueId ones = graph.add_constant("ones", Tensor::vector<float>({1, 1, 1, 1}));
  const ValueId norm = graph.add_op(
      OpKind::kBatchNormalization,
      {conv, constant("scale", {4}, 3), constant("shift", {4}, 4), constant("mean", {4}, 5), ones},
      "norm");
  const ValueId relu = graph.add_op(OpKind::kRelu, {norm}, "relu");
  const ValueId pool = graph.add_op(OpKind::kGlobalAveragePool, {relu}, "pool");
  const ValueId flat = graph.add_op(OpKind::kFlatten, {pool}, "flat");
  graph.set_outputs({graph.add_op(
      OpKind::kGemm, {flat, constant("v", {4, 3}, 6), constant("c", {3}, 7)}, "scores")});
  infer_shapes(graph);
  return graph;
}

SampleSource samples(size_t count) {
  SampleSource source;
  source.count = count;
  source.sample = [](size_t i) { return std::vector<Tensor>{numbers({1, 2, 5, 5}, 100 + i)}; };
  return source;
}

Tensor label(size_t sample) { return Tensor::scalar<int64_t>(static_cast<int64_t>(sample % 3)); }

double mean_loss(const Graph& graph, const SampleSource& source) {
  const Interpreter interpreter(graph);
  double sum = 0;
  for (size_t i = 0; i < source.count; ++i) {
    const std::vector<double> scores = interpreter.run_tensors(source.sample(i))[0].to_double();
    double total = 0;
    for (const double score : scores) total += std::exp(score);
    sum += std::log(total) - scores[i % 3];
  }
  return sum / static_cast<double>(source.count);
}

}  // namespace

TEST_CASE("gradients of the loss agree with finite differences") {
  const Graph graph = conv_network();
  const SampleSource source = samples(5);
  const auto gradients = loss_gradients(graph, source, label, {});
  for (const char* name : {"w", "b", "scale", "shift", "v", "c"}) {
    CAPTURE(name);
    const ValueId id = graph.find_value(name);
    REQUIRE(gradients.contains(id));
    const Tensor& gradient = gradients.at(id);
    const Tensor& constant = *graph.constant(id);
    CHECK(gradient.shape() == constant.shape());
    const std::vector<double> found = gradient.to_double(), values = constant.to_double();
    double largest = 0;
    for (size_t i = 0; i < values.size(); i += 5) {
      constexpr double kStep = 1e-2;
      const auto moved = [&](double by) {
        std::vector<float> changed(values.begin(), values.end());
        changed[i] += static_cast<float>(by);
        Graph other = graph;
        other.set_constant(id, Tensor::of<float>(constant.shape(), changed));
        return mean_loss(other, source);
      };
      const double expected = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      CHECK(found[i] == doctest::Approx(expected).epsilon(0.02).scale(0.01));
      largest = std::max(largest, std::fabs(expected));
    }
    CHECK(largest > 1e-4);
  }
  CHECK_FALSE(gradients.contains(graph.find_value("mean")));
}

TEST_CASE(
    "gradients of a free batch are those of single samples, and criterion taylor takes them") {
  Graph graph = conv_network();
  const SampleSource source = samples(7);
  const auto single = loss_gradients(graph, source, label, {});
  const std::vector<ChannelGroup> groups = find_channel_groups(graph);
  CriterionData data;
  data.gradients = single;
  const auto scores = score_channels(graph, groups, ChannelCriterion::kTaylor, data);
  REQUIRE(scores.size() == groups.size());
  REQUIRE(groups[0].blocked.empty());
  CHECK(scores[0].scores.size() == 4);

  (*graph.edit_type(graph.inputs()[0]).dims)[0] = Dim::named("N");
  infer_shapes(graph);
  GradientOptions options;
  options.batch = 3;
  size_t seen = 0;
  options.progress = [&](size_t done, size_t) { seen = done; };
  const auto batched = loss_gradients(graph, source, label, options);
  CHECK(seen == 7);
  CHECK(batched.size() == single.size());
  for (const auto& [id, gradient] : single)
    CHECK(at::allclose(to_runtime(gradient).tensor, to_runtime(batched.at(id)).tensor, 1e-3, 1e-6));
}

TEST_CASE("gradients need labels that fit") {
  const Graph graph = conv_network();
  const SampleSource source = samples(2);
  const auto code_of = [&](const std::function<Tensor(size_t)>& labels) {
    try {
      loss_gradients(graph, source, labels, {});
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 0;
  };
  CHECK(code_of({}) == 2);
  CHECK(code_of([](size_t) { return Tensor::scalar<int64_t>(9); }) == 3);
  CHECK(code_of(label) == 0);
}

}  // namespace lathe
