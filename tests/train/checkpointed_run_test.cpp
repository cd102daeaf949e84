// Training that keeps few activations computes what plain training does.
#include <c10/core/StorageImpl.h>

#include <set>

#include "deep_problem.h"
#include "run/run_text.h"
#include "train/activation_segments.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::error_of;
using test::gradients_of;
using test::random_input;
using test::recurrent_network;
using test::residual_network;

void check_same(const Graph& graph, const at::Tensor& x, TrainableOptions options = {}) {
  TrainableGraph plain(graph, options);
  options.checkpoint_activations = true;
  TrainableGraph checkpointed(graph, options);
  at::Tensor expected, given;
  const auto gradients = gradients_of(plain, x, &expected);
  const auto again = gradients_of(checkpointed, x, &given);
  CHECK(at::equal(given, expected));
  REQUIRE(again.size() == gradients.size());
  for (const auto& [name, gradient] : gradients) {
    CAPTURE(name);
    CHECK(gradient.abs().max().item<double>() > 0);
    CHECK(at::equal(again.at(name), gradient));
  }
  plain.keep_statistics();
  checkpointed.keep_statistics();
  CHECK(test::same_state(plain.state(), checkpointed.state()));
}

/// Bytes of produced values that are still alive after a forward run.
int64_t kept_bytes(const Graph& graph, const at::Tensor& x, bool checkpoint) {
  TrainableOptions options;
  options.checkpoint_activations = checkpoint;
  TrainableGraph trainable(graph, options);
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> produced;
  ForwardOptions forward;
  forward.on_value = [&](const std::string&, const at::Tensor& value) {
    c10::Storage storage = value.storage();
    produced.push_back(storage.getWeakStorageImpl());
  };
  const auto outputs = trainable.forward({x}, forward);
  std::set<c10::StorageImpl*> alive;
  int64_t bytes = 0;
  for (const auto& weak : produced)
    if (const auto storage = weak.lock(); storage && alive.insert(storage.get()).second)
      bytes += static_cast<int64_t>(storage->nbytes());
  return bytes;
}

}  // namespace

TEST_CASE("segments balance what crosses their borders and what is inside") {
  const Graph graph = residual_network(12);
  const std::vector<size_t> starts = activation_segments(graph);
  CHECK(starts.size() >= 4);
  CHECK(starts.size() <= 30);
  CHECK(starts[0] == 0);
  CHECK(std::is_sorted(starts.begin(), starts.end()));
  CHECK(activation_segments(Graph()) == std::vector<size_t>{0});
  // Nothing but tensors of numbers crosses a border.
  const Graph sequence = test::graph_from(R"(agraph (float[4, 4] x) => (float[4, 4] y)
{ a = Relu(x)  b = Relu(a)  s = SequenceConstruct(a, b)  c = Relu(b)  d = Relu(c)
  i = Constant<value = int64 {0}>()  e = SequenceAt(s, i)  f = Add(d, e)  y = Relu(f) })");
  const std::vector<NodeId> order = sequence.order();
  for (const size_t start : activation_segments(sequence)) {
    bool open = false;
    for (size_t i = 0; i < start; ++i)
      open = open || sequence.node(order[i]).kind == OpKind::kSequenceConstruct;
    for (size_t i = 0; i < start; ++i)
      if (sequence.node(order[i]).kind == OpKind::kSequenceAt) open = false;
    CHECK_FALSE(open);
  }
}

TEST_CASE("gradients, outputs and averages are those of a plain run, bit by bit") {
  SUBCASE("residual network") { check_same(residual_network(6), random_input({5, 3, 8, 8})); }
  SUBCASE("frozen averages") {
    TrainableOptions options;
    options.freeze_batch_norm = true;
    check_same(residual_network(4), random_input({5, 3, 8, 8}), options);
  }
  SUBCASE("channels last") {
    TrainableOptions options;
    options.channels_last = true;
    check_same(residual_network(4), random_input({5, 3, 8, 8}), options);
  }
  SUBCASE("bfloat16") {
    TrainableOptions options;
    options.bfloat16 = true;
    check_same(residual_network(4), random_input({5, 3, 8, 8}), options);
  }
  SUBCASE("recurrent network") {
    CHECK(CheckpointedRun(recurrent_network(4)).segments() > 1);
    check_same(recurrent_network(4), random_input({12, 3, 4}));
  }
  SUBCASE("a network too small to cut") { check_same(test::small_network(), random_input({6, 4})); }
}

TEST_CASE("most activations are forgotten") {
  const Graph graph = residual_network(12);
  const at::Tensor x = random_input({4, 3, 8, 8});
  const int64_t plain = kept_bytes(graph, x, false), kept = kept_bytes(graph, x, true);
  CHECK(kept > 0);
  CHECK(kept * 2 < plain);
}

TEST_CASE("hooks work inside of segments, and what they learn gets its gradient") {
  const Graph graph = residual_network(5);
  const at::Tensor x = random_input({4, 3, 8, 8});
  const auto run = [&](bool checkpoint) {
    at::Tensor weight_scale = at::full({1}, 0.9).set_requires_grad(true);
    at::Tensor activation_scale = at::full({1}, 1.1).set_requires_grad(true);
    int64_t norms = 0;
    TrainableOptions options;
    options.checkpoint_activations = checkpoint;
    options.on_parameter = [&](ValueId, const at::Tensor& parameter) {
      return parameter.dim() == 4 ? parameter * weight_scale : parameter;
    };
    options.on_activation = [&](ValueId, const at::Tensor& tensor) {
      return tensor.dim() == 4 ? tensor * activation_scale : tensor;
    };
    options.batch_norm = [&](const Node& node, const std::vector<at::Tensor>& inputs) {
      CHECK(node.kind == OpKind::kBatchNormalization);
      ++norms;
      return std::vector<at::Tensor>{inputs[0] * inputs[1].reshape({1, -1, 1, 1}), inputs[3] + 1,
                                     inputs[4] + 2};
    };
    TrainableGraph trainable(graph, options);
    std::vector<at::Tensor> all;
    for (const auto& [name, gradient] : gradients_of(trainable, x))
      if (gradient.defined()) all.push_back(gradient);
    all.push_back(weight_scale.grad());
    all.push_back(activation_scale.grad());
    trainable.keep_statistics();
    for (const auto& [name, average] : trainable.averages()) all.push_back(average);
    CHECK(norms >= 11);
    CHECK((norms > 11) == checkpoint);
    return all;
  };
  const auto plain = run(false), checkpointed = run(true);
  REQUIRE(plain.size() == checkpointed.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    CAPTURE(i);
    // Both scales are read everywhere: their sums have another order.
    CHECK(at::allclose(plain[i], checkpointed[i], 1e-4, 1e-5));
  }
}

TEST_CASE("the caller sees every value once, and can stop a backward run") {
  const Graph graph = residual_network(5);
  TrainableOptions options;
  options.checkpoint_activations = true;
  TrainableGraph trainable(graph, options);
  std::multiset<std::string> seen;
  bool stop = false;
  ForwardOptions forward;
  forward.on_value = [&](const std::string& node, const at::Tensor&) { seen.insert(node); };
  forward.check = [&] {
    if (stop) throw Error(ExitCode::kTerminated, "interrupted", {"stopped", {}, {}});
  };
  const at::Tensor y = trainable.forward({random_input({2, 3, 8, 8})}, forward)[0];
  for (const NodeId id : graph.node_ids())
    if (graph.node(id).kind != OpKind::kBatchNormalization)  // replaced, and three values
      CHECK(seen.count(graph.node(id).name) == 1);
  stop = true;
  try {
    y.sum().backward();
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kTerminated);
  }
}

TEST_CASE("what trains nothing is not computed again, and integers may cross") {
  const Graph graph = test::graph_from(R"(agraph (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, -1, 0.1, 0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] one = {1}>
{ s = Shape(x)  a = Relu(x)  b = Sigmoid(a)  c = Tanh(b)  d = MatMul(c, w)  e = Tanh(d)
  f = Sigmoid(e)  g = Reshape(f, s)  h = Tanh(g)  k = ArgMax<axis = 1>(h)  l = Sigmoid(h)
  m = Cast<to = 1>(k)  n = Mul(l, m)  y = Tanh(n) })");
  check_same(graph, random_input({3, 4}));
}

TEST_CASE("a training with checkpointed activations ends in the same weights") {
  const auto trained = [](bool checkpoint) {
    TrainableOptions options;
    options.checkpoint_activations = checkpoint;
    TrainableGraph graph(residual_network(3), options);
    TrainingData data;
    data.count = 12;
    data.sample = [](size_t index) {
      const auto label = static_cast<int64_t>(index % 3);
      const double pitch = 0.1 + 0.2 * static_cast<double>(label);
      const at::Tensor x =
          at::sin(at::arange(192, at::kFloat) * pitch + static_cast<double>(index));
      return Sample{{x.reshape({1, 3, 8, 8})}, {at::scalar_tensor(label, at::kLong)}};
    };
    TrainOptions how;
    how.epochs = 2;
    how.batch = 4;
    how.accumulation = 2;
    train(graph, data, test::label_loss(), how);
    return graph.state();
  };
  CHECK(test::same_state(trained(false), trained(true)));
}

}  // namespace lathe
