// Growing sparsity, and masks that hold while weights are trained.
#include <algorithm>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "ops/op_row.h"
#include "prune/channel_groups.h"
#include "prune/sparsity_schedule.h"
#include "prune/training_masks.h"
#include "run/interpreter.h"
#include "train/losses.h"
#include "train/train.h"
#include "train/weight_average.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

Tensor small_numbers(const Shape& shape, uint64_t stream) {
  SeededRandom random(8, stream);
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = static_cast<float>(random.normal() * 0.4);
  return Tensor::of<float>(shape, values);
}

// x [N, 6] - Gemm 12 - Relu - Gemm 8 - Relu - Gemm 3.
Graph gemm_network() {
  Graph graph;
  ValueId value =
      graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(6)}));
  const std::vector<int64_t> sizes = {6, 12, 8, 3};
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    const std::string n = std::to_string(i);
    value = graph.add_op(
        OpKind::kGemm,
        {value, graph.add_constant("w" + n, small_numbers({sizes[i], sizes[i + 1]}, 2 * i)),
         graph.add_constant("b" + n, small_numbers({sizes[i + 1]}, 2 * i + 1))},
        "g" + n, {}, "gemm" + n);
    if (i < 2) value = graph.add_op(OpKind::kRelu, {value}, "r" + n);
  }
  graph.set_outputs({value});
  infer_shapes(graph);
  return graph;
}

TrainingData points() {
  TrainingData data;
  data.count = 64;
  data.sample = [](size_t i) {
    const Tensor x = small_numbers({1, 6}, 1000 + i);
    return Sample{{to_runtime(x).tensor}, {at::scalar_tensor(int64_t(i % 3), at::kLong)}};
  };
  return data;
}

TrainOptions training() {
  TrainOptions options;
  options.epochs = 5;
  options.batch = 8;  // 40 steps
  options.learning_rate.base = 1e-2;
  options.optimizer.weight_decay = 1e-4;
  return options;
}

const Loss kLabels = [](const std::vector<at::Tensor>& outputs, const Batch& batch) {
  return cross_entropy(outputs[0], batch.targets[0]);
};

int code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return static_cast<int>(error.code());
  }
  return 0;
}

int64_t zeros_of(const Graph& graph) {
  int64_t zeros = 0;
  for (const ElementCount& count : count_zeros(graph)) zeros += count.zeros;
  return zeros;
}

KeptChannels choose(const Graph& graph, const std::vector<ChannelGroup>& groups, double sparsity) {
  auto scores = score_channels(graph, groups, ChannelCriterion::kL2, {});
  put_idle_channels_first(graph, groups, scores);
  KeptChannels kept;
  for (size_t g = 0; g < groups.size(); ++g) {
    const GroupScores& group = scores[g];
    std::vector<int32_t> order(static_cast<size_t>(groups[g].size));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    if (!groups[g].blocked.empty()) {
      kept.push_back(order);
      continue;
    }
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return group.scores[static_cast<size_t>(a)] > group.scores[static_cast<size_t>(b)];
    });
    order.resize(static_cast<size_t>(
        std::max<int64_t>(1, kept_count(sparsity, static_cast<int64_t>(order.size())))));
    std::sort(order.begin(), order.end());
    kept.push_back(order);
  }
  return kept;
}

}  // namespace

TEST_CASE("polynomial sparsity is the published formula") {
  const SparsitySchedule schedule =
      parse_schedule("polynomial:initial=10%,begin=20,end=80%,frequency=10,power=3");
  const auto changes = sparsity_changes(schedule, 0.6, 125);  // 20 … 100
  REQUIRE(changes.size() == 9);
  for (const SparsityChange& change : changes) {
    const double left = 1 - (static_cast<double>(change.step) - 20) / 80;
    CHECK(change.sparsity == doctest::Approx(0.6 - 0.5 * left * left * left));
  }
  CHECK(changes.front().step == 20);
  CHECK(changes.front().sparsity == doctest::Approx(0.1));
  CHECK(changes.back().step == 100);
  CHECK(changes.back().sparsity == 0.6);
  CHECK(sparsity_at(changes, 19) == 0);
  CHECK(sparsity_at(changes, 29) == changes[0].sparsity);
  CHECK(sparsity_at(changes, 30) == changes[1].sparsity);
  CHECK(sparsity_at(changes, 1000) == 0.6);
  const SparsitySchedule usual = parse_schedule("polynomial");
  CHECK(usual.frequency == 20);
  CHECK(sparsity_changes(usual, 0.5, 100).back().step == 60);
  // The end has its own step even when the frequency passes it.
  CHECK(sparsity_changes(usual, 0.5, 50).back().step == 30);
}

TEST_CASE("schedules that make no sense are usage errors") {
  for (const char* text : {"linear", "polynomial:end", "polynomial:speed=3", "polynomial:power=0",
                           "polynomial:power=nan", "polynomial:frequency=0",
                           "polynomial:initial=120%", "polynomial:begin=-3", "polynomial:end=60",
                           "polynomial:begin=50%,end=50%", "polynomial:initial=70%"}) {
    CAPTURE(text);
    CHECK(code_of([&] { sparsity_changes(parse_schedule(text), 0.5, 50); }) == 2);
  }
}

TEST_CASE("element sparsity grows while training, and is exact at the end, also averaged") {
  TrainableGraph graph(gemm_network());
  const auto set = [](TrainableGraph& now, double sparsity) {
    ElementMaskOptions options;
    options.sparsity = sparsity;
    set_element_masks(now, plan_element_masks(now.trained(), options));
  };
  GradualPruning pruning(parse_schedule("polynomial:begin=10%,end=60%,frequency=4"), 0.7, set);
  WeightAverage average(graph, 0.9);
  TrainOptions options = training();
  std::vector<int64_t> zeros;
  options.on_step = [&](TrainableGraph& now, int64_t done) {
    pruning.step(now, done);
    average.update(now, done);
    zeros.push_back(zeros_of(now.trained()));
  };
  pruning.start(graph, 0, 40);
  train(graph, points(), kLabels, options);
  CHECK(std::is_sorted(zeros.begin(), zeros.end()));
  CHECK(zeros.front() == 0);
  const int64_t expected =
      (72 - kept_count(0.7, 72)) + (96 - kept_count(0.7, 96)) + (24 - kept_count(0.7, 24));
  CHECK(zeros.back() == expected);
  const Graph trained = graph.trained();
  TrainableGraph averaged(gemm_network());
  averaged.restore(average.state());
  CHECK(zeros_of(averaged.trained()) == expected);
  // The same places.
  ElementMaskOptions same;
  same.sparsity = 0.7;
  Graph masked = averaged.trained();
  CHECK(apply_element_masks(masked, plan_element_masks(trained, same)) == 0);
}

TEST_CASE("two of four hold at the end of a training that starts dense") {
  TrainableGraph graph(gemm_network());
  ElementMaskOptions options;
  options.pattern = ElementPattern::kTwoOfFour;
  GradualPruning pruning(parse_schedule("polynomial:begin=20%"), 0.5,
                         [&](TrainableGraph& now, double) {
                           set_element_masks(now, plan_element_masks(now.trained(), options));
                         });
  TrainOptions train_options = training();
  train_options.on_step = [&](TrainableGraph& now, int64_t done) { pruning.step(now, done); };
  pruning.start(graph, 0, 40);
  train(graph, points(), kLabels, train_options);
  Graph trained = graph.trained();
  CHECK(apply_element_masks(trained, plan_element_masks(trained, options)) == 0);
  CHECK(zeros_of(trained) == (6 / 4 * 2) * 12 + 48 + 12);
}

TEST_CASE("channels that were masked while training can be removed without a difference") {
  const Graph given = gemm_network();
  const std::vector<ChannelGroup> groups = find_channel_groups(given);
  TrainableGraph graph(given);
  KeptChannels kept;
  int changes = 0;
  const auto set = [&](TrainableGraph& now, double sparsity) {
    const KeptChannels next = choose(now.trained(), groups, sparsity);
    // What was masked stays masked.
    for (size_t g = 0; changes > 0 && g < next.size(); ++g)
      CHECK(std::includes(kept[g].begin(), kept[g].end(), next[g].begin(), next[g].end()));
    kept = next;
    ++changes;
    set_channel_masks(now, groups, kept);
  };
  GradualPruning pruning(parse_schedule("polynomial:end=60%,frequency=5"), 0.5, set);
  TrainOptions options = training();
  options.on_step = [&](TrainableGraph& now, int64_t done) { pruning.step(now, done); };
  pruning.start(graph, 0, 40);
  train(graph, points(), kLabels, options);
  CHECK(changes == 6);
  Graph pruned = graph.trained();
  const Tensor x = small_numbers({5, 6}, 50);
  const at::Tensor before = Interpreter(pruned).run({to_runtime(x)})[0].tensor;
  // A resume finds the same channels in the zeros of the weights.
  CHECK(choose(pruned, groups, 0.5) == kept);
  CHECK(remove_channels(pruned, groups, kept) == 10);
  const at::Tensor after = Interpreter(pruned).run({to_runtime(x)})[0].tensor;
  CHECK(at::allclose(before, after, 1e-5, 1e-6));
  CHECK(pruned.constant(pruned.find_value("w1"))->shape() == Shape{6, 4});
  const at::Tensor dense = Interpreter(given).run({to_runtime(x)})[0].tensor;
  CHECK_FALSE(at::allclose(before, dense, 1e-2, 1e-2));
}

TEST_CASE("masks that cannot be kept are refused") {
  TrainableOptions options;
  options.trains = [](const ParameterUse& use) { return use.role != ParameterRole::kWeight; };
  const Graph given = gemm_network();
  TrainableGraph biases(given, options);
  ElementMaskOptions half;
  CHECK(code_of([&] { set_element_masks(biases, plan_element_masks(given, half)); }) == 3);
  const auto groups = find_channel_groups(given);
  CHECK(code_of([&] { set_channel_masks(biases, groups, choose(given, groups, 0.5)); }) == 3);
}

}  // namespace lathe
