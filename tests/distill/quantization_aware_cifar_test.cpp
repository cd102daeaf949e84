// A real network, distilled from its float self without labels while its weights or activations
// are rounded. Slow cases: see LATHE_SLOW.
#include <cstdlib>
#include <filesystem>

#include "batch/make_batch_dynamic.h"
#include "calibration/calibrate.h"
#include "calibration/npz.h"
#include "cifar.h"
#include "distill/quantization_aware.h"
#include "ops/op_row.h"
#include "passes/passes.h"
#include "run/denormals.h"
#include "run/threads.h"
#include "train/losses.h"
#include "train/train.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

at::Tensor scores_of(const Graph& graph, const at::Tensor& images) {
  const Interpreter interpreter(graph);
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : at::split(images, 100))
    parts.push_back(interpreter.run({{part, DType::kFloat32}})[0].tensor->clone());
  return at::cat(parts);
}

double share(const at::Tensor& scores, const at::Tensor& classes) {
  return scores.argmax(1).eq(classes).to(at::kDouble).mean().item<double>();
}

IntegerRules integers(DType weights, bool per_channel, bool weight_only) {
  IntegerRules rules;
  rules.ops = {OpKind::kConv, OpKind::kGemm, OpKind::kAdd, OpKind::kGlobalAveragePool};
  rules.moves = {OpKind::kMaxPool, OpKind::kReshape, OpKind::kFlatten};
  rules.weight_dtype = weights;
  rules.weight_per_channel = per_channel;
  rules.weight_only = weight_only;
  return rules;
}

PrecisionPlan resnet_plan(const Graph& graph, const IntegerRules& rules, const at::Tensor& images) {
  PrecisionPlan plan = select_nodes(graph, rules);
  Statistics statistics;
  SampleSource source;
  source.count = 128;
  source.sample = [&](size_t i) {
    const at::Tensor one = images.narrow(0, static_cast<int64_t>(i), 1).contiguous();
    return std::vector<Tensor>{to_tensor({one, DType::kFloat32})};
  };
  if (!rules.weight_only)
    statistics = calibrate(Interpreter(graph), calibration_targets(graph, plan), source, {});
  return plan_precision(graph, rules, plan, statistics, Observer::kAuto);
}

Graph integer_resnet(Graph graph, const PrecisionPlan& plan) {
  insert_qdq(graph, plan);
  eliminate_dead_nodes(graph);
  return graph;
}

struct Distilled {
  at::Tensor teacher, nearest, learned;  // scores of the test pictures, from the integer graphs
};

struct Recipe {
  QuantizationAwareOptions steps;
  double rate = 5e-4;
  int64_t epochs = 3;
};

Distilled distilled(const IntegerRules& rules, const Recipe& recipe, const Pictures& train_set,
                    const Pictures& test_set) {
  set_thread_count(2);
  flush_denormals(true);
  const Graph graph = resnet();
  const PrecisionPlan plan = resnet_plan(graph, rules, train_set.images);
  const at::Tensor targets = scores_of(graph, train_set.images);
  QuantizationAware aware(graph, plan, recipe.steps);
  TrainableOptions trainable;
  aware.set_hooks(trainable);
  TrainableGraph student(graph, trainable);
  TrainingData data;
  data.count = static_cast<size_t>(train_set.images.size(0));
  data.sample = [&](size_t index) {
    const auto i = static_cast<int64_t>(index);
    return Sample{{train_set.images.narrow(0, i, 1)}, {targets.narrow(0, i, 1)}};
  };
  TrainOptions options;
  options.epochs = recipe.epochs;
  options.batch = 64;
  options.learning_rate.base = recipe.rate;
  options.learning_rate.schedule = LearningRate::Schedule::kCosine;
  options.more_parameters = aware.parameters();
  const Loss loss = [](const std::vector<at::Tensor>& outputs, const Batch& batch) {
    return distillation(outputs[0], batch.targets[0], 3);
  };
  train(student, data, loss, options);
  Distilled result;
  result.teacher = scores_of(graph, test_set.images);
  result.nearest = scores_of(integer_resnet(graph, plan), test_set.images);
  const Graph trained = student.trained();
  result.learned = scores_of(integer_resnet(trained, aware.learned_plan(trained)), test_set.images);
  set_thread_count(1);
  return result;
}

double divergence(const at::Tensor& scores, const at::Tensor& teacher) {
  return distillation(scores, teacher, 1).item<double>();
}

}  // namespace

TEST_CASE("forty steps on real pictures bring int4 weights most of the way back") {
  if (!has_data()) return;
  const Pictures train_set = cifar_pictures("train.npz", 1280),
                 test_set = cifar_pictures("test.npz", 500);
  Recipe recipe;
  recipe.epochs = 2;
  const Distilled result =
      distilled(integers(DType::kInt4, false, true), recipe, train_set, test_set);
  const double before = divergence(result.nearest, result.teacher);
  const double after = divergence(result.learned, result.teacher);
  MESSAGE("divergence from the float network ", before, " -> ", after);
  CHECK(after < 0.6 * before);
}

TEST_CASE("slow: int4 weights, one scale a tensor: two thirds of the drop won back" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  if (!has_data()) return;
  const Pictures train_set = cifar_pictures("train.npz", 20000),
                 test_set = cifar_pictures("test.npz", 5000);
  for (const bool learned : {false, true}) {
    Recipe recipe;
    recipe.steps.learn_weights = learned;
    const Distilled result =
        distilled(integers(DType::kInt4, false, true), recipe, train_set, test_set);
    const double dense = share(result.teacher, test_set.labels);
    const double nearest = share(result.nearest, test_set.labels);
    const double after = share(result.learned, test_set.labels);
    MESSAGE("float ", dense, ", nearest ", nearest, ", distilled ", after, ", won back ",
            (after - nearest) / (dense - nearest));
    CHECK(dense == doctest::Approx(0.763).epsilon(0.001));
    CHECK(nearest == doctest::Approx(0.728).epsilon(0.001));
    CHECK(after - nearest >= (dense - nearest) * 2 / 3);
  }
}

TEST_CASE("slow: int8 activations and weights come nearer to their float self" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  if (!has_data()) return;
  const Pictures train_set = cifar_pictures("train.npz", 10000),
                 test_set = cifar_pictures("test.npz", 5000);
  for (const bool per_channel : {false, true}) {
    Recipe recipe;
    recipe.steps = {true, true};
    recipe.rate = 1e-4;
    recipe.epochs = 2;
    const Distilled result =
        distilled(integers(DType::kInt8, per_channel, false), recipe, train_set, test_set);
    const double nearest = divergence(result.nearest, result.teacher);
    const double after = divergence(result.learned, result.teacher);
    MESSAGE("top-1 ", share(result.nearest, test_set.labels), " -> ",
            share(result.learned, test_set.labels), ", divergence ", nearest, " -> ", after);
    CHECK(after < nearest);
    CHECK(share(result.learned, test_set.labels) > share(result.nearest, test_set.labels) - 0.004);
  }
}

}  // namespace lathe
