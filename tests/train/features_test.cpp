// What a student learns from inside its teacher.
#include <cmath>

#include "ir/error.h"
#include "small_problem.h"
#include "train/channel_place.h"
#include "train/teaching.h"

#include "onnx/text_form.h"
#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::contains;
using test::error_of;

// x [N, 3, 8, 8] - Conv - Relu "inner" [N, channels, size, size] - pooled - Gemm - scores [N, 4].
Graph picture_network(int64_t channels, int64_t stride, uint64_t seed) {
  Graph graph;
  const ValueId x = graph.add_input(
      "x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(3), Dim::of(8), Dim::of(8)}));
  Attributes attributes;
  attributes.set("pads", std::vector<int64_t>{1, 1, 1, 1});
  attributes.set("strides", std::vector<int64_t>{stride, stride});
  const ValueId w = graph.add_constant("w", test::random_tensor({channels, 3, 3, 3}, seed));
  const ValueId a = graph.add_op(OpKind::kConv, {x, w}, "conv", attributes);
  const ValueId inner = graph.add_op(OpKind::kRelu, {a}, "inner");
  const ValueId pooled = graph.add_op(OpKind::kGlobalAveragePool, {inner}, "pooled");
  const ValueId flat = graph.add_op(OpKind::kFlatten, {pooled}, "flat");
  const ValueId g = graph.add_constant("g", test::random_tensor({channels, 4}, seed + 1));
  graph.set_outputs({graph.add_op(OpKind::kGemm, {flat, g}, "scores")});
  infer_shapes(graph);
  return graph;
}

SampleSource pictures(size_t count = 24) {
  SampleSource source;
  source.count = count;
  source.sample = [](size_t index) {
    return std::vector<Tensor>{test::random_tensor({1, 3, 8, 8}, 900 + index, 1)};
  };
  return source;
}

TeachingOptions with(FeatureKind kind, double weight = 1, const char* name = "inner") {
  TeachingOptions options;
  options.features = {{name, name, kind, weight}};
  return options;
}

Batch batch_of(const Teaching& teaching, size_t count = 6) {
  std::vector<size_t> samples(count);
  for (size_t i = 0; i < count; ++i) samples[i] = i;
  return make_batch(teaching.data, samples);
}

at::Tensor inner_of(const Graph& graph, const Batch& batch, const char* name = "inner") {
  TrainableOptions options;
  options.outputs = {graph.find_value(name)};
  return TrainableGraph(graph, options).evaluate(batch.inputs)[0];
}

double scores_loss(const Graph& student, const Graph& teacher, const SampleSource& source) {
  const Teaching plain = make_teaching(student, &teacher, source, {}, {});
  return test::loss_of(student, plain, batch_of(plain));
}

// Analytic against central differences, in double.
void check_gradient(const std::function<at::Tensor(const at::Tensor&)>& loss, at::Tensor at_point) {
  const at::Tensor point = at_point.detach().clone().set_requires_grad(true);
  loss(point).backward();
  const at::Tensor found = point.grad().flatten();
  const double step = 1e-6;
  for (int64_t i = 0; i < at_point.numel(); ++i) {
    const auto moved = [&](double by) {
      at::Tensor other = at_point.detach().clone();
      other.flatten()[i] += by;
      return loss(other).item<double>();
    };
    CHECK(found[i].item<double>() ==
          doctest::Approx((moved(step) - moved(-step)) / (2 * step)).epsilon(1e-5));
  }
}

at::Tensor numbers(at::IntArrayRef sizes, uint64_t stream) {
  const Tensor tensor = test::random_tensor(sizes.vec(), stream, 1);
  return at::tensor(tensor.to_double(), at::kDouble).reshape(sizes);
}

}  // namespace

TEST_CASE("gradients of both losses agree with finite differences") {
  FeatureMatch match{"t", "s", FeatureKind::kFeatures, 0.7};
  FeatureValue ours, theirs;
  ours.place.class_axis = theirs.place.class_axis = 1;
  ours.sizes = {1, 2, 4, 3};
  theirs.sizes = {1, 3, 2, 3};
  FeatureLossTerm term = feature_loss_term(match, ours, theirs, 0, 5);
  term.variance = 2;
  REQUIRE(term.weight);
  CHECK((term.pooled == std::vector<int64_t>{2, 3}));
  term.weight->tensor = numbers({3, 2}, 3);
  term.bias->tensor = numbers({3}, 4);
  const at::Tensor target = term.target(numbers({2, 3, 2, 3}, 2));
  const at::Tensor value = numbers({2, 2, 4, 3}, 1);
  check_gradient([&](const at::Tensor& x) { return term.loss(x, target); }, value);
  check_gradient(
      [&](const at::Tensor& weight) {
        term.weight->tensor = weight;
        return term.loss(value, target);
      },
      numbers({3, 2}, 3));
  match.kind = FeatureKind::kAttention;
  const FeatureLossTerm attention = feature_loss_term(match, ours, theirs, 0, 5);
  CHECK_FALSE(attention.weight);
  const at::Tensor map = attention.target(numbers({2, 3, 2, 3}, 2));
  check_gradient([&](const at::Tensor& x) { return attention.loss(x, map); }, value);
  // Channels last, and one row for each of two steps of a sample.
  ours.place.class_axis = theirs.place.class_axis = 2;
  ours.sizes = {1, 4, 5};
  theirs.sizes = {1, 2, 5};
  match.kind = FeatureKind::kFeatures;
  const FeatureLossTerm tokens = feature_loss_term(match, ours, theirs, 1, 5);
  const at::Tensor rows = tokens.target(numbers({2, 2, 5}, 6));
  check_gradient([&](const at::Tensor& x) { return tokens.loss(x, rows); }, numbers({2, 5, 4}, 7));
}

TEST_CASE("features of one shape: the mean squared error over the teacher's variance") {
  const Graph student = picture_network(6, 1, 1), teacher = picture_network(6, 1, 5);
  const SampleSource source = pictures();
  const Teaching teaching =
      make_teaching(student, &teacher, source, {}, with(FeatureKind::kFeatures, 0.25));
  CHECK(teaching.cached);
  CHECK(teaching.parameters.empty());
  REQUIRE(teaching.taught.size() == 2);
  const TaughtOutput& told = teaching.taught[1];
  CHECK(told.name == "inner");
  REQUIRE(told.feature);
  CHECK(told.feature->weight == 0.25);
  CHECK_FALSE(told.projected);
  CHECK(contains(teaching.description(), "inner: 0.25 squared error"));
  const Batch batch = batch_of(teaching);
  const double expected =
      at::mse_loss(inner_of(student, batch), inner_of(teacher, batch)).item<double>() * 0.25 /
      told.variance;
  CHECK(test::loss_of(student, teaching, batch) - scores_loss(student, teacher, source) ==
        doctest::Approx(expected).epsilon(1e-4));
  // The teacher that is asked every time says the same.
  TeachingOptions asked = with(FeatureKind::kFeatures, 0.25);
  asked.cache_bytes = 0;
  const Teaching again = make_teaching(student, &teacher, source, {}, asked);
  CHECK_FALSE(again.cached);
  CHECK(test::loss_of(student, again, batch_of(again)) ==
        doctest::Approx(test::loss_of(student, teaching, batch)).epsilon(1e-5));
  // So does one that takes a sample at a time.
  asked.teacher_axes.free = false;
  const Teaching single = make_teaching(student, &teacher, source, {}, asked);
  CHECK(test::loss_of(student, single, batch_of(single)) ==
        doctest::Approx(test::loss_of(student, teaching, batch)).epsilon(1e-5));
  asked.student_axes.free = false;
  const Teaching both = make_teaching(student, &teacher, source, {}, asked);
  CHECK(std::isfinite(test::loss_of(student, both, batch_of(both, 1))));
}

TEST_CASE("attention looks at where, not at how much or with how many channels") {
  const at::Tensor value = numbers({3, 4, 5, 5}, 1);
  const at::Tensor map = attention_map(value);
  CHECK((map.sizes() == at::IntArrayRef({3, 25})));
  CHECK(at::allclose(map.norm(2, {1}), at::ones({3}, at::kDouble)));
  CHECK(at::allclose(attention_map(value * 7), map));
  CHECK(at::allclose(attention_map(at::cat({value, value, -value}, 1)), map));
  CHECK(attention_transfer(map, attention_map(value * 7)).item<double>() < 1e-20);
  // By hand: two maps of two positions, (3, 4) / 5 and (1, 0).
  const at::Tensor a = at::tensor(std::vector<double>{3, 4}, at::kDouble).sqrt().reshape({1, 1, 2});
  const at::Tensor b = at::tensor(std::vector<double>{9, 0}, at::kDouble).reshape({1, 1, 2});
  CHECK(attention_transfer(attention_map(a), attention_map(b)).item<double>() ==
        doctest::Approx(0.4 * 0.4 + 0.8 * 0.8));
  // A picture of zeros has no direction; its gradient is 0, not NaN.
  at::Tensor zeros = at::zeros({1, 2, 2, 2}, at::kDouble).set_requires_grad(true);
  attention_transfer(attention_map(zeros), attention_map(numbers({1, 2, 2, 2}, 3))).backward();
  CHECK(zeros.grad().abs().max().item<double>() == 0);

  const Graph student = picture_network(3, 1, 1), teacher = picture_network(8, 2, 5);
  const SampleSource source = pictures();
  const Teaching teaching =
      make_teaching(student, &teacher, source, {}, with(FeatureKind::kAttention, 2));
  CHECK(teaching.parameters.empty());
  CHECK(contains(teaching.description(), "inner: 2 attention transfer from inner"));
  const Batch batch = batch_of(teaching);
  const auto energy = [&](const Graph& graph) {
    const at::Tensor all = inner_of(graph, batch).square().sum(1, true);
    const at::Tensor flat = at::adaptive_avg_pool2d(all, {4, 4}).flatten(1);
    return flat / flat.norm(2, {1}, true);
  };
  const double expected =
      2 * (energy(student) - energy(teacher)).square().sum(1).mean().item<double>();
  CHECK(test::loss_of(student, teaching, batch) - scores_loss(student, teacher, source) ==
        doctest::Approx(expected).epsilon(1e-4));
}

TEST_CASE("a projection is learned where channels differ, and lowers the loss") {
  const Graph student = picture_network(4, 1, 1), teacher = picture_network(9, 1, 5);
  const SampleSource source = pictures();
  const Teaching teaching =
      make_teaching(student, &teacher, source, {}, with(FeatureKind::kFeatures));
  REQUIRE(teaching.parameters.size() == 2);
  CHECK((teaching.parameters[0]->tensor->sizes() == at::IntArrayRef({9, 4})));
  CHECK(teaching.parameters[0]->name == "projection/0/weight");
  CHECK(teaching.taught[1].projected);
  CHECK(contains(teaching.description(), "4 channels projected to 9"));
  const Batch batch = batch_of(teaching);
  const double before = test::loss_of(student, teaching, batch);
  const auto trained = [&](bool projection) {
    const Teaching own = make_teaching(student, &teacher, source, {}, with(FeatureKind::kFeatures));
    TrainableOptions trainable;
    trainable.outputs = own.outputs;
    TrainableGraph graph(student, trainable);
    TrainOptions options;
    options.epochs = 20;
    options.batch = 8;
    options.optimizer.kind = OptimizerOptions::Kind::kAdam;
    options.learning_rate.base = 0.01;
    if (projection)
      for (const auto& parameter : own.parameters)
        options.more_parameters.push_back(parameter.get());
    train(graph, own.data, own.loss, options);
    return own.loss(graph.evaluate(batch.inputs), batch_of(own)).item<double>();
  };
  const double learned = trained(true), fixed = trained(false);
  CHECK(learned < 0.6 * before);
  CHECK(learned < 0.9 * fixed);
  // The seed decides where it starts.
  TeachingOptions other = with(FeatureKind::kFeatures);
  const auto first = [&] {
    return make_teaching(student, &teacher, source, {}, other).parameters[0]->tensor;
  };
  CHECK(at::equal(first(), teaching.parameters[0]->tensor));
  other.seed = 1;
  CHECK_FALSE(at::equal(first(), teaching.parameters[0]->tensor));
}

TEST_CASE("several matches, a value that is an output as well, and no output at all") {
  const Graph student = picture_network(4, 2, 1), teacher = picture_network(4, 1, 5);
  const SampleSource source = pictures();
  TeachingOptions options;
  options.features = {{"inner", "inner", FeatureKind::kFeatures, 1},
                      {"inner", "inner", FeatureKind::kAttention, 3},
                      {"scores", "scores", FeatureKind::kFeatures, 0.5},
                      {"flat", "pooled", FeatureKind::kFeatures, 1}};
  CHECK(contains(error_of([&] { make_teaching(student, &teacher, source, {}, options); }),
                 "the teacher's flat is 1x4, the student's pooled is 1x4x1x1: their ranks differ"));
  options.features.pop_back();
  const Teaching teaching = make_teaching(student, &teacher, source, {}, options);
  CHECK(teaching.outputs.size() == 2);
  CHECK(teaching.taught.size() == 4);
  const Batch batch = batch_of(teaching);
  double expected = 1.5 * scores_loss(student, teacher, source);
  for (const FeatureKind kind : {FeatureKind::kFeatures, FeatureKind::kAttention}) {
    const Teaching one = make_teaching(student, &teacher, source, {},
                                       with(kind, kind == FeatureKind::kFeatures ? 1 : 3));
    expected += test::loss_of(student, one, batch_of(one)) - scores_loss(student, teacher, source);
  }
  CHECK(test::loss_of(student, teaching, batch) == doctest::Approx(expected).epsilon(1e-4));
  // Outputs that are whole numbers teach nothing; what is inside does.
  const auto rounded = [](Graph graph) {
    Attributes to;
    to.set("to", int64_t{7});
    graph.set_outputs({graph.add_op(OpKind::kCast, {graph.find_value("scores")}, "whole", to)});
    infer_shapes(graph);
    return graph;
  };
  const Graph whole = rounded(student), teacher_whole = rounded(teacher);
  CHECK(contains(error_of([&] { make_teaching(whole, &teacher_whole, source, {}, {}); }),
                 "no output of the model can be compared"));
  const Teaching inside =
      make_teaching(whole, &teacher_whole, source, {}, with(FeatureKind::kAttention));
  CHECK(inside.taught.size() == 1);
  CHECK(test::loss_of(whole, inside, batch_of(inside)) > 0);
}

TEST_CASE("labels alone, and features of a teacher whose scores are not followed") {
  const Graph student = picture_network(4, 1, 1), teacher = picture_network(4, 1, 5);
  const SampleSource source = pictures();
  const auto labels = [](size_t index) {
    return Tensor::scalar<int64_t>(static_cast<int64_t>(index % 4));
  };
  TeachingOptions options = with(FeatureKind::kFeatures);
  options.alpha = 0;
  options.label_smoothing = 0.2;
  for (const int64_t bytes : {int64_t{0}, int64_t{1} << 24}) {
    options.cache_bytes = bytes;
    const Teaching teaching = make_teaching(student, &teacher, source, labels, options);
    const Batch batch = batch_of(teaching);
    const at::Tensor target = at::arange(6) % 4;
    const double expected =
        cross_entropy(inner_of(student, batch, "scores"), target, {.label_smoothing = 0.2})
            .item<double>() +
        at::mse_loss(inner_of(student, batch), inner_of(teacher, batch)).item<double>() /
            teaching.taught[1].variance;
    CHECK(test::loss_of(student, teaching, batch) == doctest::Approx(expected).epsilon(1e-4));
    CHECK(contains(teaching.description(), "cross-entropy (labels smoothed by 0.2)"));
  }
}

TEST_CASE("features that cannot be compared are refused, naming them") {
  const Graph student = picture_network(4, 1, 1), teacher = picture_network(4, 1, 5);
  const SampleSource source = pictures();
  const auto refusal = [&](const char* theirs, const char* ours,
                           FeatureKind kind = FeatureKind::kFeatures, double weight = 1,
                           const Graph* other = nullptr) {
    TeachingOptions options;
    options.features = {{theirs, ours, kind, weight}};
    options.hint = [](std::string_view name, const std::vector<std::string>& known) {
      return std::string(name) + " of " + std::to_string(known.size());
    };
    return error_of(
        [&] { make_teaching(student, other != nullptr ? other : &teacher, source, {}, options); });
  };
  CHECK(contains(refusal("inner", "innre"),
                 "2 train.feature_name: : the student has no value innre"));
  CHECK(contains(refusal("innre", "inner"), "the teacher has no value innre"));
  CHECK(contains(refusal("inner", "w"), "2 train.feature_name"));
  CHECK(contains(refusal("x", "inner"), "x is an input"));
  CHECK(contains(refusal("inner", "inner", FeatureKind::kFeatures, 0), "2 "));
  CHECK(contains(refusal("pooled", "pooled", FeatureKind::kAttention), "3 train.feature_shapes"));
  CHECK(contains(refusal("flat", "flat", FeatureKind::kAttention), "there is one at most"));
  CHECK(contains(refusal("flat", "inner"), "their ranks differ"));
  CHECK(refusal("inner", "inner").empty());
  TeachingOptions alone = with(FeatureKind::kFeatures);
  const auto labels = [](size_t) { return Tensor::scalar<int64_t>(0); };
  CHECK(contains(error_of([&] { make_teaching(student, nullptr, source, labels, alone); }), "2 "));
  alone.features.clear();
  alone.label_smoothing = 1;
  CHECK(contains(error_of([&] { make_teaching(student, nullptr, source, labels, alone); }),
                 "a label smoothing of 1"));
  // A value that all samples share, and one whose batch is on two axes.
  const Graph odd = [&] {
    Graph graph = student;
    const ValueId w = graph.find_value("w");
    const ValueId flat = graph.find_value("flat");
    Attributes perm;
    perm.set("perm", std::vector<int64_t>{1, 0});
    const ValueId turned = graph.add_op(OpKind::kTranspose, {flat}, "turned", perm);
    graph.add_op(OpKind::kMatMul, {flat, turned}, "gram");
    graph.add_op(OpKind::kRelu, {w}, "shared");
    infer_shapes(graph);
    return graph;
  }();
  CHECK(contains(refusal("shared", "inner", FeatureKind::kFeatures, 1, &odd),
                 "3 train.feature_batch"));
  CHECK(contains(refusal("gram", "inner", FeatureKind::kFeatures, 1, &odd), "on no single axis"));
}

TEST_CASE("batch and channels of recurrent layers and tokens") {
  const auto recurrent = [](int64_t hidden, uint64_t seed) {
    Graph graph;
    const ValueId x = graph.add_input(
        "x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(7), Dim::of(3)}));
    Attributes perm, size;
    perm.set("perm", std::vector<int64_t>{1, 0, 2});
    size.set("hidden_size", hidden);
    const ValueId steps = graph.add_op(OpKind::kTranspose, {x}, "steps", perm);
    const ValueId states = graph.add_op(
        OpKind::kLSTM,
        {steps, graph.add_constant("w", test::random_tensor({1, 4 * hidden, 3}, seed)),
         graph.add_constant("r", test::random_tensor({1, 4 * hidden, hidden}, seed + 1))},
        "states", size);
    const ValueId axis = graph.add_constant("axis", Tensor::vector<int64_t>({1}));
    const ValueId squeezed = graph.add_op(OpKind::kSqueeze, {states, axis}, "squeezed");
    const ValueId tokens = graph.add_op(OpKind::kTranspose, {squeezed}, "tokens", perm);
    const ValueId y = graph.add_op(
        OpKind::kMatMul,
        {tokens, graph.add_constant("v", test::random_tensor({hidden, 3}, seed + 2))}, "y");
    graph.set_outputs({y});
    infer_shapes(graph);
    return graph;
  };
  const Graph student = recurrent(4, 1), teacher = recurrent(6, 11);
  SampleSource source;
  source.count = 10;
  source.sample = [](size_t index) {
    return std::vector<Tensor>{test::random_tensor({1, 7, 3}, 50 + index, 1)};
  };
  for (const char* name : {"states", "squeezed", "tokens"}) {
    CAPTURE(name);
    const Teaching teaching =
        make_teaching(student, &teacher, source, {}, with(FeatureKind::kFeatures, 1, name));
    REQUIRE(teaching.parameters.size() == 2);
    CHECK((teaching.parameters[0]->tensor->sizes() == at::IntArrayRef({6, 4})));
    CHECK(contains(teaching.description(), "4 channels projected to 6"));
    const Batch batch = batch_of(teaching);
    // [N, 7, hidden] by hand, whatever the value's own order.
    const at::Tensor ours = inner_of(student, batch, "tokens");
    const at::Tensor theirs = inner_of(teacher, batch, "tokens");
    const at::Tensor projected = at::matmul(ours, teaching.parameters[0]->tensor->detach().t());
    const double expected =
        at::mse_loss(projected, theirs).item<double>() / teaching.taught[1].variance;
    CHECK(test::loss_of(student, teaching, batch) - scores_loss(student, teacher, source) ==
          doctest::Approx(expected).epsilon(1e-4));
  }
  const Teaching attention =
      make_teaching(student, &teacher, source, {}, with(FeatureKind::kAttention, 1, "states"));
  CHECK(attention.taught.size() == 2);
}

TEST_CASE("channel_axis follows what computes a value") {
  const Graph graph = parse_text(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[N,3,8,8] x, float[N,7,5] t) => (d, f, g)
<float[6,3,1,1] w = {1,2,3,4,5,6,1,2,3,4,5,6,1,2,3,4,5,6},
 float[2,7,1] k = {1,2,3,4,5,6,7,1,2,3,4,5,6,7},
 float[5,2] m = {1,2,3,4,5,6,7,8,9,10}>
{ a = Conv(x, w) b = Relu(a) c = Add(b, a) d = Transpose<perm = [0,2,3,1]>(c)
  e = Conv(t, k) f = Sigmoid(e) h = MatMul(t, m) i = Mul(h, h) g = Transpose<perm = [0,2,1]>(i) })")
                          .graph;
  Graph inferred = graph;
  infer_shapes(inferred);
  const auto axis = [&](const char* name) {
    const ValueId id = inferred.find_value(name);
    return channel_axis(inferred, id, static_cast<int64_t>(inferred.value(id).type.dims->size()));
  };
  CHECK(axis("a") == 1);
  CHECK(axis("c") == 1);
  CHECK(axis("d") == 3);
  CHECK(axis("f") == 1);
  CHECK(axis("i") == 2);
  CHECK(axis("g") == 1);
}

}  // namespace lathe
