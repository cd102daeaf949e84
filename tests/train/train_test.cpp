#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "run/threads.h"
#include "scratch_directory.h"
#include "small_problem.h"

#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::accuracy;
using test::contains;
using test::error_of;
using test::label_loss;
using test::on_scores;
using test::same_state;
using test::small_data;
using test::small_network;

TrainOptions quick(int64_t epochs = 4) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch = 16;
  options.seed = 3;
  options.learning_rate.base = 0.02;
  options.learning_rate.schedule = LearningRate::Schedule::kCosine;
  return options;
}

TrainableGraph fresh() { return TrainableGraph(small_network(), on_scores(small_network())); }

Error stop() { return Error(ExitCode::kInterrupted, "interrupted", {"interrupted", {}, {}}); }

}  // namespace

TEST_CASE("the loop learns, and tells how it goes") {
  TrainableGraph graph = fresh();
  const TrainingData data = small_data();
  const double before = accuracy(graph, data);
  TrainOptions options = quick(12);
  std::vector<TrainProgress> seen;
  options.progress = [&](const TrainProgress& now) { seen.push_back(now); };
  options.validate = [&](const TrainableGraph& now) { return accuracy(now, data); };
  int64_t best_calls = 0;
  options.on_best = [&](const TrainableGraph&, const EpochRecord&) { ++best_calls; };
  const TrainResult result = train(graph, data, label_loss(), options);
  CHECK(before < 0.6);
  CHECK(accuracy(graph, data) > 0.85);
  CHECK(result.steps == 72);  // 100 samples are six full batches; four are left out of each epoch
  REQUIRE(seen.size() == 72);
  CHECK(seen.back().step == 72);
  CHECK(seen.back().steps == 72);
  CHECK(seen.back().epoch == 12);
  CHECK(seen.back().eta_s == 0);
  CHECK(seen[0].eta_s > 0);
  CHECK(seen[0].learning_rate == 0.02);
  CHECK(seen[0].gradient_norm > 0);
  CHECK(seen.back().samples_per_s > 0);
  REQUIRE(result.epochs.size() == 12);
  CHECK(result.epochs.back().loss < 0.7 * result.epochs.front().loss);
  CHECK(result.epochs.back().loss == doctest::Approx(seen.back().mean_loss));
  REQUIRE(result.best_epoch);
  CHECK(best_calls >= 1);
  double best = 0;
  for (const EpochRecord& record : result.epochs) best = std::max(best, record.metric.value());
  CHECK(result.epochs[static_cast<size_t>(*result.best_epoch)].metric == best);
  graph.restore(result.best);
  CHECK(accuracy(graph, data) == best);
}

TEST_CASE("two runs with one thread count give the same bytes, another seed gives others") {
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    TrainableGraph one = fresh(), two = fresh(), other = fresh();
    train(one, small_data(), label_loss(), quick());
    train(two, small_data(), label_loss(), quick());
    TrainOptions options = quick();
    options.seed = 4;
    train(other, small_data(), label_loss(), options);
    CHECK(same_state(one.state(), two.state()));
    CHECK_FALSE(same_state(one.state(), other.state()));
  }
  set_thread_count(1);
}

TEST_CASE("a run that is interrupted anywhere and resumed equals one that was not") {
  const ScratchDirectory folder;
  const TrainingData data = small_data(40);
  TrainOptions options = quick(3);
  options.batch = 8;  // five steps an epoch
  options.validate = [&](const TrainableGraph& graph) { return accuracy(graph, data); };
  options.augment = {[](Batch& batch, int64_t epoch) {
    batch.inputs[0] = batch.inputs[0] + 0.01 * static_cast<double>(epoch);
  }};
  TrainableGraph straight = fresh();
  const TrainResult expected = train(straight, data, label_loss(), options);
  // The check comes once a step, before every node and behind each in the backward pass; graph()
  // has four nodes on the path.
  for (int64_t stop_at : {1, 2, 7, 23, 31, 44, 60, 74, 98, 131}) {
    CAPTURE(stop_at);
    options.checkpoint = folder.path("run_" + std::to_string(stop_at));
    options.checkpoint_steps = stop_at % 2 == 0 ? 2 : 0;
    int64_t checks = 0;
    TrainableGraph first = fresh();
    options.resume = false;
    options.check = [&] {
      if (++checks == stop_at) throw stop();
    };
    const std::string error = error_of([&] { train(first, data, label_loss(), options); });
    CHECK(contains(error, "130 interrupted"));
    options.check = {};
    options.resume = fs::exists(options.checkpoint);  // nothing was done in the first step
    CHECK(options.resume == (stop_at > 9));
    TrainableGraph second = fresh();
    const TrainResult result = train(second, data, label_loss(), options);
    CHECK(same_state(straight.state(), second.state()));
    CHECK(same_state(expected.best, result.best));
    CHECK(result.best_epoch == expected.best_epoch);
    REQUIRE(result.epochs.size() == expected.epochs.size());
    for (size_t i = 0; i < result.epochs.size(); ++i) {
      CHECK(result.epochs[i].loss == expected.epochs[i].loss);
      CHECK(result.epochs[i].metric == expected.epochs[i].metric);
    }
  }
}

TEST_CASE("a step whose callback throws counts in the loss of its epoch") {
  const ScratchDirectory folder;
  const TrainingData data = small_data(40);
  TrainOptions options = quick(1);
  options.batch = 8;
  TrainableGraph straight = fresh(), broken = fresh(), second = fresh();
  const double expected = train(straight, data, label_loss(), options).epochs[0].loss;
  options.checkpoint = folder.path("run");
  options.on_step = [](TrainableGraph&, int64_t steps) {
    if (steps == 3) throw stop();
  };
  CHECK_FALSE(error_of([&] { train(broken, data, label_loss(), options); }).empty());
  options.on_step = nullptr;
  options.resume = true;
  CHECK(train(second, data, label_loss(), options).epochs[0].loss == expected);
}

TEST_CASE("an interrupted validation is done again") {
  const ScratchDirectory folder;
  const TrainingData data = small_data(40);
  TrainOptions options = quick(2);
  options.validate = [&](const TrainableGraph& graph) { return accuracy(graph, data); };
  TrainableGraph straight = fresh(), broken = fresh(), second = fresh();
  train(straight, data, label_loss(), options);
  options.checkpoint = folder.path("run");
  auto interrupted = options;
  interrupted.validate = [](const TrainableGraph&) -> double { throw stop(); };
  CHECK_FALSE(error_of([&] { train(broken, data, label_loss(), interrupted); }).empty());
  options.resume = true;
  const TrainResult result = train(second, data, label_loss(), options);
  CHECK(result.epochs.size() == 2);
  CHECK(same_state(straight.state(), second.state()));
  // A finished run resumed does nothing.
  TrainableGraph third = fresh();
  CHECK(train(third, data, label_loss(), options).epochs.size() == 2);
  CHECK(same_state(straight.state(), third.state()));
}

TEST_CASE("a checkpoint of another run is refused") {
  const ScratchDirectory folder;
  TrainOptions options = quick(1);
  options.checkpoint = folder.path("run");
  options.recipe = {{"teacher", "abc"}};
  TrainableGraph graph = fresh();
  train(graph, small_data(), label_loss(), options);
  options.resume = true;
  const auto resumed = [&](TrainOptions changed) {
    TrainableGraph next = fresh();
    return error_of([&] { train(next, small_data(), label_loss(), changed); });
  };
  CHECK(resumed(options).empty());
  TrainOptions other = options;
  other.learning_rate.base = 0.5;
  CHECK(contains(resumed(other), "2 train.checkpoint_recipe"));
  CHECK(contains(resumed(other), "lr was 0.02, now it is 0.5"));
  other = options;
  other.recipe["teacher"] = "abd";
  CHECK(contains(resumed(other), "teacher was abc, now it is abd"));
  other = options;
  other.checkpoint = folder.path("none");
  CHECK(contains(resumed(other), "2 "));
}

TEST_CASE("a loss that is not finite stops the run, naming step and node") {
  const ScratchDirectory folder;
  TrainOptions options = quick(3);
  options.checkpoint = folder.path("run");
  TrainingData data = small_data(32);
  const auto plain = data.sample;
  data.sample = [plain](size_t index) {
    Sample sample = plain(index);
    if (index == 5) sample.inputs[0].fill_(3e38F);
    return sample;
  };
  TrainableGraph graph = fresh();
  const std::string error = error_of([&] { train(graph, data, label_loss(), options); });
  CHECK(contains(error, "3 train.not_finite"));
  CHECK(contains(error, "first NaN or infinity at node first"));
  CHECK(contains(error, "(epoch 1, step "));
  CHECK_FALSE(fs::exists(options.checkpoint));  // nothing of that run is worth keeping
  for (const auto& [name, tensor] : graph.state())
    for (const double value : tensor.to_double()) CHECK(std::isfinite(value));
  TrainableGraph bad_loss = fresh();
  const Loss broken = [](const std::vector<at::Tensor>& outputs, const Batch&) {
    return outputs[0].sum() / 0;
  };
  CHECK(contains(error_of([&] { train(bad_loss, small_data(), broken, options); }),
                 "every node is finite, the loss itself is not"));
}

TEST_CASE("a graph that is cut by a step function is refused, naming it") {
  const Graph graph = test::graph_from(R"(agraph (float[N, 4] x) => (float[N, 2] y)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { a = MatMul(x, w)  y = Floor(a) })");
  TrainableGraph trainable(graph);
  const Loss sum = [](const std::vector<at::Tensor>& outputs, const Batch&) {
    return outputs[0].detach().sum();
  };
  const std::string error = error_of([&] { train(trainable, small_data(), sum, quick()); });
  CHECK(contains(error, "3 train.no_gradient"));
  CHECK(contains(error, "(Floor)"));
}

TEST_CASE("masks stay exact through training and into the written graph") {
  for (const auto kind : {OptimizerOptions::Kind::kSgd, OptimizerOptions::Kind::kAdamW}) {
    TrainableGraph graph = fresh();
    Parameter* weight = graph.find(small_network().find_value("w2"));
    REQUIRE(weight != nullptr);
    const at::Tensor kept = (at::arange(24) % 2).reshape({8, 3});
    weight->set_mask(kept);
    TrainOptions options = quick();
    options.optimizer.kind = kind;
    options.optimizer.weight_decay = 0.01;
    train(graph, small_data(), label_loss(), options);
    const Graph trained = graph.trained();
    const auto values = trained.value(trained.find_value("w2")).constant->values<float>();
    int zeros = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % 2 == 0) CHECK(values[i] == 0);
      if (values[i] == 0) ++zeros;
    }
    CHECK(zeros == 12);
  }
}

TEST_CASE("accumulated gradients are those of the whole batch") {
  TrainableOptions frozen = on_scores(small_network());
  frozen.freeze_batch_norm = true;  // statistics of a part are not those of the whole
  TrainableGraph whole(small_network(), frozen), parts(small_network(), frozen);
  TrainOptions options = quick(2);
  train(whole, small_data(), label_loss(), options);
  options.accumulation = 4;
  train(parts, small_data(), label_loss(), options);
  for (size_t i = 0; i < whole.parameters().size(); ++i)
    CHECK(at::allclose(whole.parameters()[i].tensor, parts.parameters()[i].tensor, 1e-3, 1e-4));
  options.accumulation = 3;
  CHECK(contains(error_of([&] { train(parts, small_data(), label_loss(), options); }),
                 "2 train.options"));
}

TEST_CASE("training stops early when the metric no longer gets better") {
  TrainableGraph graph = fresh();
  TrainOptions options = quick(20);
  options.patience = 2;
  std::vector<double> metrics = {0.5, 0.4, 0.45, 0.46, 0.1};
  size_t next = 0;
  options.validate = [&](const TrainableGraph&) { return metrics.at(next++); };
  options.higher_is_better = false;
  const TrainResult result = train(graph, small_data(), label_loss(), options);
  CHECK(result.stopped_early);
  CHECK(result.epochs.size() == 4);
  CHECK(result.best_epoch == 1);
}

TEST_CASE("patience counts from the best epoch and never ends a run that gets better") {
  const auto epochs_of = [](int64_t patience, std::vector<double> metrics) {
    TrainableGraph graph = fresh();
    TrainOptions options = quick(static_cast<int64_t>(metrics.size()));
    options.patience = patience;
    size_t next = 0;
    options.validate = [&](const TrainableGraph&) { return metrics.at(next++); };
    return train(graph, small_data(), label_loss(), options).epochs.size();
  };
  CHECK(epochs_of(0, {0.9, 0.1, 0.1, 0.1, 0.1}) == 5);
  CHECK(epochs_of(2, {0.1, 0.2, 0.3, 0.4, 0.5}) == 5);
  CHECK(epochs_of(2, {0.1, 0.0, 0.2, 0.1, 0.1, 0.9}) == 5);
  CHECK(epochs_of(1, {NAN, NAN, 0.2, 0.2, 0.9}) == 4);  // no best, no end
}

TEST_CASE("the learning rate warms up, then follows its schedule, step by step") {
  TrainableGraph graph = fresh();
  TrainOptions options = quick(2);  // 12 steps
  options.learning_rate.warmup_steps = 4;
  options.optimizer.kind = OptimizerOptions::Kind::kSgd;
  options.optimizer.momentum = 0;
  std::vector<double> rates, moved, norms;
  at::Tensor before = graph.parameters()[0].tensor->detach().clone();
  at::Tensor gradient;
  options.on_gradients = [&](const Parameters& parameters) {
    gradient = parameters[0]->tensor->grad().clone();
  };
  options.on_step = [&](TrainableGraph& now, int64_t) {
    const at::Tensor after = now.parameters()[0].tensor->detach().clone();
    moved.push_back(((before - after) * gradient).sum().item<double>() /
                    gradient.square().sum().item<double>());
    before = after;
  };
  options.progress = [&](const TrainProgress& now) { rates.push_back(now.learning_rate); };
  train(graph, small_data(), label_loss(), options);
  REQUIRE(rates.size() == 12);
  for (size_t i = 0; i < 4; ++i)
    CHECK(rates[i] == doctest::Approx(0.02 * static_cast<double>(i + 1) / 4));
  CHECK(rates[4] == 0.02);
  for (size_t i = 5; i < 12; ++i) CHECK(rates[i] < rates[i - 1]);
  // The weights move by the rate that is told.
  for (size_t i = 0; i < 12; ++i) CHECK(moved[i] == doctest::Approx(rates[i]).epsilon(1e-3));
}

TEST_CASE("clipped gradients move the weights by the given norm at most") {
  const auto run = [](double clip) {
    TrainableGraph graph = fresh();
    TrainOptions options = quick(1);
    options.clip_norm = clip;
    options.optimizer.kind = OptimizerOptions::Kind::kSgd;
    options.optimizer.momentum = 0;
    options.learning_rate = LearningRate{};
    options.learning_rate.base = 1;
    std::vector<at::Tensor> before;
    for (const Parameter& parameter : graph.parameters())
      before.push_back(parameter.tensor->detach().clone());
    double longest = 0, told = 0;
    options.on_step = [&](TrainableGraph& now, int64_t) {
      double squares = 0;
      for (size_t i = 0; i < before.size(); ++i) {
        const at::Tensor after = now.parameters()[i].tensor->detach().clone();
        squares += (after - before[i]).to(at::kDouble).square().sum().item<double>();
        before[i] = after;
      }
      longest = std::max(longest, std::sqrt(squares));
    };
    options.progress = [&](const TrainProgress& now) { told = std::max(told, now.gradient_norm); };
    train(graph, small_data(), label_loss(), options);
    return std::pair(longest, told);
  };
  const auto [free, free_norm] = run(0);
  CHECK(free == doctest::Approx(free_norm).epsilon(1e-3));
  REQUIRE(free > 0.2);
  const auto [clipped, told] = run(0.1);
  CHECK(clipped == doctest::Approx(0.1).epsilon(1e-3));
  CHECK(told > 0.2);  // before clipping
}

TEST_CASE("a resume tells how far the checkpoint was, and when an older one had to serve") {
  const ScratchDirectory folder;
  TrainOptions options = quick(2);  // 12 steps
  options.checkpoint = folder.path("run");
  options.checkpoint_steps = 4;
  TrainableGraph straight = fresh();
  train(straight, small_data(), label_loss(), options);
  options.resume = true;
  std::vector<std::string> told;
  options.on_resume = [&](int64_t steps, const std::string& why) {
    told.push_back(std::to_string(steps) + (why.empty() ? "" : " previous"));
  };
  TrainableGraph again = fresh(), older = fresh();
  train(again, small_data(), label_loss(), options);
  fs::resize_file(options.checkpoint, 100);
  train(older, small_data(), label_loss(), options);
  CHECK(told == std::vector<std::string>{"12", "8 previous"});
  CHECK(same_state(older.state(), straight.state()));
}

TEST_CASE("parameters that a loss brings are learned and saved with the graph's") {
  const ScratchDirectory folder;
  const auto run = [&](int64_t stop_after, bool resume) {
    TrainableGraph graph = fresh();
    Parameter scale = make_parameter("scale", at::ones({3}));
    TrainOptions options = quick(2);
    options.more_parameters = {&scale};
    options.checkpoint = folder.path("run");
    options.resume = resume;
    double own = resume ? 0 : 1;  // an average that the caller keeps
    options.on_step = [&](TrainableGraph&, int64_t steps) {
      own = own * 0.5 + static_cast<double>(steps);
      if (steps == stop_after) throw stop();
    };
    options.save_more = [&](std::map<std::string, Tensor>& tensors) {
      tensors["caller/own"] = Tensor::scalar(own);
    };
    options.load_more = [&](const std::map<std::string, Tensor>& tensors) {
      own = tensors.at("caller/own").to_double()[0];
    };
    const Loss loss = [&](const std::vector<at::Tensor>& outputs, const Batch& batch) {
      return cross_entropy(outputs[0] * scale.tensor, batch.targets[0]);
    };
    error_of([&] { train(graph, small_data(), loss, options); });
    const at::Tensor values = scale.tensor->detach();
    return std::vector<double>{values[0].item<double>(), values[2].item<double>(), own};
  };
  const auto straight = run(-1, false);
  CHECK(straight[0] != 1);
  run(7, false);
  CHECK(run(-1, true) == straight);
}

TEST_CASE("options that make no sense are refused before anything runs") {
  const auto refused = [](auto change) {
    TrainableGraph graph = fresh();
    TrainOptions options = quick();
    change(options);
    return error_of([&] { train(graph, small_data(), label_loss(), options); });
  };
  CHECK(contains(refused([](TrainOptions& o) { o.epochs = 0; }), "2 train.options"));
  CHECK(contains(refused([](TrainOptions& o) { o.learning_rate.base = 0; }),
                 "2 train.learning_rate"));
  CHECK(contains(refused([](TrainOptions& o) { o.batch = 1000; }), "3 train.data"));
  CHECK(contains(refused([](TrainOptions& o) { o.clip_norm = -1; }), "2 train.options"));
  CHECK(contains(refused([](TrainOptions& o) { o.accumulation = 0; }), "2 train.options"));
}

}  // namespace lathe
