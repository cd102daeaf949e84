// What a student is compared with, and averaged weights.
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "ir/error.h"
#include "run/interpreter.h"
#include "small_problem.h"
#include "train/teaching.h"
#include "train/weight_average.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

Tensor point(size_t index) {
  SeededRandom random(5, index);
  std::vector<float> x(4);
  for (float& value : x) value = static_cast<float>(random.normal());
  return Tensor::of<float>({1, 4}, x);
}

SampleSource points(size_t count = 100) {
  SampleSource source;
  source.count = count;
  source.sample = [](size_t index) { return std::vector<Tensor>{point(index)}; };
  return source;
}

std::function<Tensor(size_t)> classes() {
  return [](size_t index) { return Tensor::scalar<int64_t>(static_cast<int64_t>(index % 3)); };
}

std::vector<size_t> first_numbers(size_t count) {
  std::vector<size_t> numbers(count);
  for (size_t i = 0; i < count; ++i) numbers[i] = i;
  return numbers;
}

// Without its Softmax; other weights.
Graph other_network() {
  Graph graph = test::small_network();
  const ValueId weights = graph.find_value("w1");
  graph.set_constant(weights, test::random_tensor({4, 8}, 77));
  return graph;
}

Graph without_softmax(Graph graph) {
  graph.set_outputs({graph.find_value("scores")});
  graph.erase_node(graph.find_node("softmax"));
  return graph;
}

int code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return static_cast<int>(error.code());
  }
  return 0;
}

}  // namespace

TEST_CASE("labels and teacher: the loss is what the formulas say on the logits before Softmax") {
  const Graph student = test::small_network(), teacher = other_network();
  TeachingOptions options;
  options.alpha = 0.6;
  options.temperature = 2;
  const SampleSource source = points();
  const Teaching teaching = make_teaching(student, &teacher, source, classes(), options);
  REQUIRE(teaching.taught.size() == 1);
  CHECK(teaching.taught[0].classes);
  CHECK(teaching.taught[0].teacher_share == 0.6);
  CHECK(teaching.taught[0].label_share == doctest::Approx(0.4));
  CHECK(student.value(teaching.outputs[0]).name == "scores");
  CHECK(teaching.description() == "0.6 distillation at temperature 2 + 0.4 cross-entropy");

  const Batch batch = make_batch(teaching.data, first_numbers(10));
  const at::Tensor ours =
      TrainableGraph(student, test::on_scores(student)).evaluate(batch.inputs)[0];
  const at::Tensor theirs =
      TrainableGraph(teacher, test::on_scores(teacher)).evaluate(batch.inputs)[0];
  const at::Tensor labels = at::arange(10) % 3;
  const double expected = 0.6 * distillation(ours, theirs, 2).item<double>() +
                          0.4 * cross_entropy(ours, labels).item<double>();
  CHECK(test::loss_of(student, teaching, batch) == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("a teacher whose outputs are kept teaches what one that is asked every time teaches") {
  const Graph student = test::small_network(), teacher = other_network();
  const SampleSource source = points(50);
  TeachingOptions options;
  options.batch = 16;
  const Teaching kept = make_teaching(student, &teacher, source, {}, options);
  options.cache_bytes = 100;
  const Teaching too_large = make_teaching(student, &teacher, source, {}, options);
  options.cache_bytes = 1 << 20;
  options.inputs_change = true;
  const Teaching changing = make_teaching(student, &teacher, source, {}, options);
  CHECK(kept.cached);
  CHECK_FALSE(too_large.cached);
  CHECK_FALSE(changing.cached);
  const std::vector<size_t> samples = {49, 3, 20, 7};
  const double expected = test::loss_of(student, too_large, make_batch(too_large.data, samples));
  CHECK(expected > 0);
  CHECK(test::loss_of(student, kept, make_batch(kept.data, samples)) ==
        doctest::Approx(expected).epsilon(1e-5));
  // The teacher sees what augmentation made of the inputs.
  Batch batch = make_batch(changing.data, samples);
  CHECK(test::loss_of(student, changing, batch) == doctest::Approx(expected).epsilon(1e-5));
  batch.inputs[0].mul_(-1);
  CHECK(test::loss_of(student, changing, batch) != doctest::Approx(expected).epsilon(1e-3));
  // A student that is its teacher has nothing to learn.
  const Teaching own = make_teaching(teacher, &teacher, source, {}, {});
  CHECK(std::fabs(test::loss_of(teacher, own, make_batch(own.data, samples))) < 1e-6);
}

TEST_CASE("outputs that are no class scores are compared as numbers of order 1") {
  const Graph student = without_softmax(test::small_network());
  const Graph teacher = without_softmax(other_network());
  const SampleSource source = points();
  const Teaching teaching = make_teaching(student, &teacher, source, {}, {});
  REQUIRE(teaching.taught.size() == 1);
  CHECK_FALSE(teaching.taught[0].classes);
  const Batch batch = make_batch(teaching.data, first_numbers(8));
  const at::Tensor ours = TrainableGraph(student).evaluate(batch.inputs)[0];
  const at::Tensor theirs = TrainableGraph(teacher).evaluate(batch.inputs)[0];
  const double expected =
      mean_squared_error(ours, theirs).item<double>() / teaching.taught[0].variance;
  CHECK(test::loss_of(student, teaching, batch) == doctest::Approx(expected).epsilon(1e-5));
  // With labels that the output has classes for, they are class scores after all.
  CHECK(make_teaching(student, &teacher, source, classes(), {}).taught[0].classes);
  // Numbers of the output's shape are targets themselves.
  const auto numbers = [](size_t index) {
    return Tensor::vector<float>({0.5F * static_cast<float>(index % 5), 1.25F, -2});
  };
  const Teaching regression = make_teaching(student, nullptr, source, numbers, {});
  CHECK_FALSE(regression.taught[0].classes);
  const Batch other = make_batch(regression.data, first_numbers(2));
  const at::Tensor targets = at::tensor(std::vector<float>{0, 1.25, -2, 0.5, 1.25, -2});
  const at::Tensor predicted = TrainableGraph(student).evaluate(other.inputs)[0];
  CHECK(test::loss_of(student, regression, other) ==
        doctest::Approx(mean_squared_error(predicted, targets.reshape({2, 3})).item<double>() /
                        regression.taught[0].variance)
            .epsilon(1e-5));
}

TEST_CASE("one of the two ends in a Softmax: logits are compared with logits") {
  const Graph student = test::small_network(), teacher = without_softmax(other_network());
  const SampleSource source = points();
  const Teaching a = make_teaching(student, &teacher, source, {}, {});
  const Teaching b = make_teaching(without_softmax(student), &teacher, source, classes(), {});
  CHECK(a.taught[0].classes);
  CHECK(b.taught[0].classes);
  const Graph plain = without_softmax(student);
  const Graph with = other_network();
  const Teaching c = make_teaching(plain, &with, source, {}, {});
  const Batch batch = make_batch(a.data, first_numbers(6));
  CHECK(test::loss_of(plain, c, make_batch(c.data, first_numbers(6))) ==
        doctest::Approx(test::loss_of(student, a, batch)).epsilon(1e-5));
}

TEST_CASE("every way to write class probabilities trains on the same logits") {
  const SampleSource source = points();
  const Graph plain = without_softmax(test::small_network());
  const auto ending = [&](const std::function<ValueId(Graph&, ValueId)>& end, const Graph& base) {
    Graph graph = base;
    graph.set_outputs({end(graph, graph.find_value("scores"))});
    infer_shapes(graph);
    return graph;
  };
  const auto along = [](int64_t axis) {
    Attributes attributes;
    attributes.set("axis", axis);
    return attributes;
  };
  const auto picture = [](Graph& graph, ValueId scores) {  // [N, 3, 1, 1]
    const ValueId axes = graph.add_constant("behind", Tensor::vector<int64_t>({2, 3}));
    return graph.add_op(OpKind::kUnsqueeze, {scores, axes}, "picture");
  };
  using End = std::function<ValueId(Graph&, ValueId)>;
  const std::vector<std::pair<const char*, End>> ends = {
      {"softmax",
       [&](Graph& g, ValueId v) { return g.add_op(OpKind::kSoftmax, {v}, "p", along(1)); }},
      {"log softmax",
       [&](Graph& g, ValueId v) { return g.add_op(OpKind::kLogSoftmax, {v}, "p", along(-1)); }},
      {"softmax, squeezed",
       [&](Graph& g, ValueId v) {
         const ValueId p = g.add_op(OpKind::kSoftmax, {picture(g, v)}, "p", along(1));
         return g.add_op(OpKind::kSqueeze, {p, g.find_value("behind")}, "q");
       }},
      {"softmax, flattened",
       [&](Graph& g, ValueId v) {
         const ValueId p = g.add_op(OpKind::kSoftmax, {picture(g, v)}, "p", along(-3));
         return g.add_op(OpKind::kFlatten, {p}, "q");
       }},
      {"softmax between two Transposes",
       [&](Graph& g, ValueId v) {
         Attributes perm;
         perm.set("perm", std::vector<int64_t>{0, 3, 2, 1});
         const ValueId t = g.add_op(OpKind::kTranspose, {picture(g, v)}, "t", perm);
         const ValueId p = g.add_op(OpKind::kSoftmax, {t}, "p", along(3));
         return g.add_op(OpKind::kTranspose, {p}, "q", perm);
       }},
  };
  const Graph teacher = without_softmax(other_network());
  const Teaching reference = make_teaching(plain, &teacher, source, classes(), {});
  const double expected =
      test::loss_of(plain, reference, make_batch(reference.data, first_numbers(9)));
  for (const auto& [name, end] : ends) {
    CAPTURE(name);
    const Graph student = ending(end, plain);
    // Pictures of one pixel stay such, on both sides.
    const bool four = std::string(name).find("Transposes") != std::string::npos;
    const Graph plain_teacher = four ? ending(picture, teacher) : teacher;
    const Graph ended = ending(end, teacher);
    for (const Graph* partner : {&plain_teacher, &ended}) {
      const Teaching teaching = make_teaching(student, partner, source, classes(), {});
      REQUIRE(teaching.taught.size() == 1);
      CHECK(teaching.taught[0].classes);
      const Batch batch = make_batch(teaching.data, first_numbers(9));
      CHECK(test::loss_of(student, teaching, batch) == doctest::Approx(expected).epsilon(1e-5));
    }
  }
}

TEST_CASE("classes of pixels behind a Transpose keep their places") {
  // x [N, 4] as a picture [N, 2, 2, 1], three classes a pixel, [N, classes, 2, 1] in the end.
  const auto network = [](uint64_t seed, bool probabilities) {
    Graph graph;
    const ValueId x =
        graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(4)}));
    const ValueId shape = graph.add_constant("shape", Tensor::vector<int64_t>({0, 2, 2, 1}));
    const ValueId picture = graph.add_op(OpKind::kReshape, {x, shape}, "picture");
    Attributes perm;
    perm.set("perm", std::vector<int64_t>{0, 3, 2, 1});
    const ValueId w = graph.add_constant("w", test::random_tensor({3, 2, 1, 1}, seed, 2));
    const ValueId logits = graph.add_op(OpKind::kConv, {picture, w}, "logits");
    const ValueId turned = graph.add_op(OpKind::kTranspose, {logits}, "turned", perm);
    Attributes axis;
    axis.set("axis", int64_t{3});
    const ValueId p = probabilities ? graph.add_op(OpKind::kSoftmax, {turned}, "p", axis) : turned;
    graph.set_outputs({graph.add_op(OpKind::kTranspose, {p}, "y", perm)});
    infer_shapes(graph);
    return graph;
  };
  const Graph student = network(1, true), plain = network(1, false);
  const Graph teacher = network(2, true), plain_teacher = network(2, false);
  const auto pixels = [](size_t index) {
    return Tensor::of<int64_t>(
        {1, 2, 1}, {static_cast<int64_t>(index % 3), static_cast<int64_t>(index / 3 % 3)});
  };
  const SampleSource source = points(30);
  const Teaching ours = make_teaching(student, &teacher, source, pixels, {});
  const Teaching theirs = make_teaching(plain, &plain_teacher, source, pixels, {});
  CHECK(student.value(ours.outputs[0]).name == "turned");
  const Batch batch = make_batch(ours.data, first_numbers(20));
  CHECK(test::loss_of(student, ours, batch) ==
        doctest::Approx(test::loss_of(plain, theirs, make_batch(theirs.data, first_numbers(20)))));
}

TEST_CASE("numbers of any scale weigh the same: a detector's boxes beside its features") {
  // scores, pixels (a thousand times as large) and thousandths, of one linear layer each.
  const auto network = [](uint64_t seed) {
    Graph graph;
    const ValueId x =
        graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(4)}));
    std::vector<ValueId> outputs;
    double scale = 1e-3;
    for (const char* name : {"thousandths", "plain", "pixels"}) {
      const ValueId w =
          graph.add_constant(std::string("w_") + name, test::random_tensor({4, 3}, seed, scale));
      outputs.push_back(graph.add_op(OpKind::kMatMul, {x, w}, name));
      scale *= 1e3;
    }
    graph.set_outputs(outputs);
    infer_shapes(graph);
    return graph;
  };
  const Graph student = network(1), teacher = network(2);
  const SampleSource source = points();
  const Teaching teaching = make_teaching(student, &teacher, source, {}, {});
  REQUIRE(teaching.taught.size() == 3);
  CHECK(teaching.taught[2].variance / teaching.taught[0].variance ==
        doctest::Approx(1e12).epsilon(1e-3));
  TrainableOptions options;
  options.outputs = teaching.outputs;
  TrainableGraph graph(student, options);
  const Batch batch = make_batch(teaching.data, first_numbers(40));
  const auto outputs = graph.evaluate(batch.inputs);
  // Three equal terms, each of order 1.
  const double one =
      mean_squared_error(outputs[1], batch.targets[1]).item<double>() / teaching.taught[1].variance;
  CHECK(one > 0.1);
  CHECK(one < 10);
  CHECK(teaching.loss(outputs, batch).item<double>() == doctest::Approx(3 * one).epsilon(1e-3));
  // All of them are learned, by steps of one size relative to the weights.
  TrainOptions train_options;
  train_options.epochs = 60;
  train_options.batch = 20;
  train_options.optimizer.kind = OptimizerOptions::Kind::kAdam;
  train_options.learning_rate.base = 0.02;
  train(graph, teaching.data, teaching.loss, train_options);
  const auto learned = graph.evaluate(batch.inputs);
  CHECK(mean_squared_error(learned[1], batch.targets[1]).item<double>() <
        0.1 * teaching.taught[1].variance);
}

TEST_CASE("smoothed labels") {
  const Graph student = test::small_network();
  const SampleSource source = points();
  TeachingOptions options;
  options.label_smoothing = 0.1;
  const Teaching teaching = make_teaching(student, nullptr, source, classes(), options);
  CHECK(teaching.description() == "cross-entropy (labels smoothed by 0.1)");
  CHECK(teaching.notes.empty());
  const Batch batch = make_batch(teaching.data, first_numbers(10));
  const at::Tensor scores =
      TrainableGraph(student, test::on_scores(student)).evaluate(batch.inputs)[0];
  CHECK(test::loss_of(student, teaching, batch) ==
        doctest::Approx(
            cross_entropy(scores, at::arange(10) % 3, {.label_smoothing = 0.1}).item<double>()));
  // Nothing to smooth.
  CHECK(make_teaching(student, &student, source, {}, options).notes.size() == 1);
  for (const double wrong : {-0.1, 1.0, std::nan("")}) {
    options.label_smoothing = wrong;
    CHECK(code_of([&] { make_teaching(student, nullptr, source, classes(), options); }) == 2);
  }
}

TEST_CASE("several outputs add up; what teaches nothing is named") {
  const auto two = [](Graph graph) {
    const ValueId whole = graph.add_op(OpKind::kCast, {graph.find_value("c")}, "whole", [] {
      Attributes attributes;
      attributes.set("to", int64_t{7});
      return attributes;
    }());
    graph.set_outputs({graph.find_value("y"), graph.find_value("c"), whole});
    infer_shapes(graph);
    return graph;
  };
  const Graph student = two(test::small_network()), teacher = two(other_network());
  const SampleSource source = points();
  const Teaching teaching = make_teaching(student, &teacher, source, classes(), {});
  REQUIRE(teaching.taught.size() == 2);
  CHECK(teaching.taught[0].label_share == doctest::Approx(0.3));
  CHECK(teaching.taught[1].teacher_share == 1);
  CHECK_FALSE(teaching.taught[1].classes);
  REQUIRE(teaching.notes.size() == 1);
  CHECK(teaching.notes[0].find("whole") != std::string::npos);
  const Batch batch = make_batch(teaching.data, first_numbers(4));
  TrainableOptions options;
  options.outputs = teaching.outputs;
  const auto outputs = TrainableGraph(student, options).evaluate(batch.inputs);
  TrainableOptions of_teacher;
  of_teacher.outputs = {teacher.find_value("scores"), teacher.find_value("c")};
  const auto wanted = TrainableGraph(teacher, of_teacher).evaluate(batch.inputs);
  const double expected =
      distillation_mixture(outputs[0], wanted[0], at::arange(4) % 3, {}).item<double>() +
      mean_squared_error(outputs[1], wanted[1]).item<double>() / teaching.taught[1].variance;
  CHECK(test::loss_of(student, teaching, batch) == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("samples that run one by one give the gradients of a batch") {
  const Graph student = test::small_network(), teacher = other_network();
  const SampleSource source = points(32);
  const auto trained = [&](int64_t accumulation) {
    TeachingOptions options;
    options.teacher_axes.free = accumulation == 1;
    const Teaching teaching = make_teaching(student, &teacher, source, classes(), options);
    TrainableOptions trainable;
    trainable.outputs = teaching.outputs;
    trainable.freeze_batch_norm = true;
    TrainableGraph graph(student, trainable);
    TrainOptions train_options;
    train_options.epochs = 2;
    train_options.batch = 8;
    train_options.accumulation = accumulation;
    train_options.optimizer.kind = OptimizerOptions::Kind::kSgd;
    train(graph, teaching.data, teaching.loss, train_options);
    return to_runtime(graph.state().at("parameter/w1")).tensor;
  };
  CHECK(at::allclose(trained(1), trained(8), 1e-4, 1e-5));
}

TEST_CASE("teaching refuses what makes no sense") {
  const Graph student = test::small_network();
  const SampleSource source = points();
  const auto with = [&](auto change, const std::function<Tensor(size_t)>& labels = {}) {
    TeachingOptions options;
    change(options);
    return code_of([&] { make_teaching(student, &student, source, labels, options); });
  };
  CHECK(with([](TeachingOptions&) {}) == 0);
  CHECK(code_of([&] { make_teaching(student, nullptr, source, {}, {}); }) == 2);
  CHECK(with([](TeachingOptions& o) { o.temperature = 0; }) == 2);
  CHECK(with([](TeachingOptions& o) { o.alpha = 1.5; }) == 2);
  CHECK(with([](TeachingOptions& o) { o.alpha = 0.5; }) == 2);
  CHECK(with([](TeachingOptions& o) { o.alpha = 0.5; }, classes()) == 0);
  const auto four = [](size_t) { return Tensor::scalar<int64_t>(3); };
  CHECK(with([](TeachingOptions&) {}, four) == 3);
  const auto pair = [](size_t) { return Tensor::vector<int64_t>({0, 1}); };
  CHECK(code_of([&] { make_teaching(student, nullptr, source, pair, {}); }) == 3);
  // Beside a teacher, labels that do not fit are told of and left out.
  const Teaching teaching = make_teaching(student, &student, source, pair, {});
  CHECK(teaching.taught[0].label_share == 0);
  CHECK(teaching.notes.size() == 1);
}

TEST_CASE("averaged weights follow the formula, keep masks and survive a checkpoint") {
  TrainableGraph graph(test::small_network());
  WeightAverage average(graph, 0.9);
  Parameter& weights = *graph.find(graph.graph().find_value("w1"));
  const at::Tensor before = weights.tensor->detach().clone();
  {
    const at::NoGradGuard no_gradient;
    weights.tensor->add_(1);
  }
  average.update(graph, 1000);
  const auto now = [&]() -> at::Tensor {
    return to_runtime(average.state().at("parameter/w1")).tensor;
  };
  CHECK(at::allclose(now(), before * 0.9 + (before + 1) * 0.1));
  // Few steps: min(0.9, 2 / 11).
  average.update(graph, 1);
  const double early = 2.0 / 11;
  CHECK(at::allclose(now(), (before + 0.1) * early + (before + 1) * (1 - early), 1e-5, 1e-6));
  at::Tensor kept = at::ones({4, 8}, at::kBool);
  kept.select(0, 2).fill_(false);
  weights.set_mask(kept);
  average.update(graph, 1000);
  CHECK(now().select(0, 2).abs().max().item<float>() == 0);
  CHECK(now().select(0, 1).abs().max().item<float>() > 0);
  CHECK(average.state().size() == graph.state().size());
  WeightAverage other(TrainableGraph(test::small_network()), 0.9);
  other.restore(average.state());
  CHECK(test::same_state(other.state(), average.state()));
  CHECK(code_of([&] { other.restore({}); }) == 2);
  CHECK(code_of([&] { WeightAverage(graph, 1.0); }) == 2);
}

}  // namespace lathe
