// Training with rounding: what it sees is what the file gives, and what it learns makes the file
// better.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "calibration/calibrate.h"
#include "distill/quantization_aware.h"
#include "ir/error.h"
#include "ir/seeded_random.h"
#include "ir/verify.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"
#include "passes/passes.h"
#include "quantize/plan/weight_params.h"
#include "train/losses.h"
#include "train/train.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

std::string numbers(int64_t count, uint64_t stream, double scale) {
  SeededRandom random(7, stream);
  std::string text = "{";
  for (int64_t i = 0; i < count; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(random.normal() * scale);
  return text + "}";
}

Graph parsed(const std::string& body) {
  Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
  infer_shapes(graph);
  return graph;
}

// Convolutions with a shortcut, a Clip, a MaxPool between integers, and a product at the end.
Graph network(bool biases = false) {
  const std::string b1 = biases ? ", b1" : "", b2 = biases ? ", b2" : "";
  return parsed(
      "agraph (float[N,3,8,8] x) => (float[N,5] y) <float[8,3,3,3] w1 = " + numbers(216, 1, 0.4) +
      ", float[8,8,3,3] w2 = " + numbers(576, 2, 0.15) +
      ", float[8,8,1,1] w3 = " + numbers(64, 3, 0.3) + ", float[8,5] w4 = " + numbers(40, 4, 0.5) +
      ", float[8] b1 = " + numbers(8, 5, 0.3) + ", float[8] b2 = " + numbers(8, 6, 0.3) +
      R"(, float zero = {0}, float six = {6}>
{ c1 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w1)" +
      b1 + R"()
  r1 = Clip(c1, zero, six)
  m = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
  c2 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(m, w2)" +
      b2 + R"()
  c3 = Conv(m, w3)
  s = Add(c2, c3)
  r2 = Relu(s)
  p = GlobalAveragePool(r2)
  f = Flatten(p)
  y = Gemm(f, w4) })");
}

IntegerRules rules_for(DType weights, bool per_channel, bool weight_only) {
  IntegerRules rules;
  rules.ops = {OpKind::kConv, OpKind::kGemm, OpKind::kAdd, OpKind::kGlobalAveragePool};
  rules.moves = {OpKind::kMaxPool, OpKind::kFlatten};
  rules.weight_dtype = weights;
  rules.weight_per_channel = per_channel;
  rules.weight_only = weight_only;
  return rules;
}

at::Tensor pictures(int64_t count, uint64_t stream) {
  SeededRandom random(9, stream);
  std::vector<float> values(static_cast<size_t>(count * 192));
  for (float& value : values) value = static_cast<float>(random.normal() + 0.3);
  return at::tensor(values).reshape({count, 3, 8, 8});
}

PrecisionPlan plan_of(const Graph& graph, const IntegerRules& rules) {
  const at::Tensor data = pictures(32, 100);
  SampleSource source;
  source.count = 32;
  source.sample = [&](size_t i) {
    const at::Tensor one = data.narrow(0, static_cast<int64_t>(i), 1).contiguous();
    return std::vector<Tensor>{to_tensor({one, DType::kFloat32})};
  };
  PrecisionPlan plan = select_nodes(graph, rules);
  Statistics statistics;
  if (!rules.weight_only)
    statistics = calibrate(Interpreter(graph), calibration_targets(graph, plan), source, {});
  return plan_precision(graph, rules, plan, statistics, Observer::kMinMax);
}

std::vector<at::Tensor> outputs_of(const Graph& graph, const at::Tensor& x) {
  std::vector<at::Tensor> outputs;
  for (const RuntimeValue& value : Interpreter(graph).run({{x, DType::kFloat32}}))
    outputs.push_back(value.tensor->clone());
  return outputs;
}

Graph integer_graph(Graph graph, const PrecisionPlan& plan) {
  insert_qdq(graph, plan);
  eliminate_identities(graph);
  eliminate_dead_nodes(graph);
  verify(graph, "insert_qdq");
  return graph;
}

double error_of(const at::Tensor& a, const at::Tensor& b) {
  return at::mean(at::square(a - b)).item<double>();
}

struct Trained {
  double nearest = 0;  // mean squared error at the outputs, fresh pictures: rounded to nearest
  double learned = 0;
  double seen = 0;  // largest difference of evaluate() and the integer graph
  PrecisionPlan plan;
  Graph graph;
};

// The float network teaches its rounded self, without labels.
Trained self_distilled(const Graph& graph, const IntegerRules& rules,
                       const QuantizationAwareOptions& options, int64_t epochs = 12) {
  const at::Tensor images = pictures(512, 1), fresh = pictures(256, 2);
  const at::Tensor targets = outputs_of(graph, images)[0], wanted = outputs_of(graph, fresh)[0];
  PrecisionPlan plan = plan_of(graph, rules);
  Trained result;
  result.nearest = error_of(outputs_of(integer_graph(graph, plan), fresh)[0], wanted);
  QuantizationAware aware(graph, plan, options);
  TrainableOptions trainable;
  aware.set_hooks(trainable);
  TrainableGraph student(graph, trainable);
  TrainingData data;
  data.count = 512;
  data.sample = [&](size_t index) {
    const auto i = static_cast<int64_t>(index);
    return Sample{{images.narrow(0, i, 1)}, {targets.narrow(0, i, 1)}};
  };
  TrainOptions train_options;
  train_options.epochs = epochs;
  train_options.batch = 32;
  train_options.learning_rate.base = 2e-3;
  train_options.learning_rate.schedule = LearningRate::Schedule::kCosine;
  train_options.more_parameters = aware.parameters();
  const Loss loss = [](const std::vector<at::Tensor>& outputs, const Batch& batch) {
    return mean_squared_error(outputs[0], batch.targets[0]);
  };
  train(student, data, loss, train_options);
  result.graph = student.trained();
  result.plan = aware.learned_plan(result.graph);
  const at::Tensor file = outputs_of(integer_graph(result.graph, result.plan), fresh)[0];
  result.learned = error_of(file, wanted);
  result.seen = at::max(at::abs(student.evaluate({fresh})[0] - file)).item<double>();
  return result;
}

}  // namespace

TEST_CASE("before training, the student is the quantized file") {
  const at::Tensor x = pictures(16, 3);
  for (const DType weights : {DType::kInt8, DType::kInt4})
    for (const bool per_channel : {false, true})
      for (const bool weight_only : {false, true}) {
        CAPTURE(dtype_name(weights));
        CAPTURE(per_channel);
        CAPTURE(weight_only);
        const Graph graph = network();
        const PrecisionPlan plan = plan_of(graph, rules_for(weights, per_channel, weight_only));
        CHECK(plan.values.empty() == weight_only);
        const QuantizationAware aware(graph, plan);
        TrainableOptions options;
        aware.set_hooks(options);
        TrainableGraph student(graph, options);
        const at::Tensor file = outputs_of(integer_graph(graph, plan), x)[0];
        CHECK(at::equal(student.evaluate({x})[0], file));
        CHECK(at::equal(student.forward({x})[0].detach(), file));
        CHECK(error_of(file, outputs_of(graph, x)[0]) > 0);
        const PrecisionPlan same = aware.learned_plan(student.trained());
        CHECK((same.values == plan.values));
        for (size_t i = 0; i < plan.weights.size(); ++i)
          CHECK((same.weights[i].params == plan.weights[i].params));
        CHECK((same.ranges.size() == plan.ranges.size()));
      }
}

TEST_CASE("biases are float in training and integers in the file") {
  const Graph graph = network(true);
  const PrecisionPlan plan = plan_of(graph, rules_for(DType::kInt8, true, false));
  CHECK(plan.biases.size() == 2);
  const QuantizationAware aware(graph, plan);
  TrainableOptions options;
  aware.set_hooks(options);
  const TrainableGraph student(graph, options);
  const at::Tensor x = pictures(64, 3);
  const at::Tensor file = outputs_of(integer_graph(graph, plan), x)[0];
  const at::Tensor seen = student.evaluate({x})[0];
  // An activation here and there is rounded to the other side.
  CHECK(error_of(seen, file) > 0);
  CHECK(error_of(seen, file) < 0.1 * error_of(seen, outputs_of(graph, x)[0]));
}

TEST_CASE("step sizes get their gradients when activations are computed twice") {
  const Graph graph = network(true);
  const PrecisionPlan plan = plan_of(graph, rules_for(DType::kInt4, true, false));
  const at::Tensor x = pictures(8, 3);
  std::vector<std::map<std::string, at::Tensor>> gradients;
  for (const bool twice : {false, true}) {
    QuantizationAware aware(graph, plan, {true, true});
    TrainableOptions options;
    options.checkpoint_activations = twice;
    aware.set_hooks(options);
    TrainableGraph student(graph, options);
    at::sum(at::square(student.forward({x})[0])).backward();
    gradients.emplace_back();
    CHECK(aware.parameters().size() == plan.weights.size() + plan.values.size() - 2);  // moves
    for (const Parameter* parameter : aware.parameters())
      gradients.back()[parameter->name] = parameter->tensor->grad();
    for (const Parameter& parameter : student.parameters())
      gradients.back()[parameter.name] = parameter.tensor->grad();
  }
  for (const auto& [name, gradient] : gradients[0]) {
    CAPTURE(name);
    REQUIRE(gradient.defined());
    // The Clip's bound is reached from the start.
    if (name != "step/r1") CHECK(at::amax(at::abs(gradient)).item<double>() > 0);
    CHECK(at::allclose(gradients[1].at(name), gradient, 1e-4, 1e-6));
  }
}

TEST_CASE("int4 weights win back what rounding to nearest costs") {
  const Graph graph = network(true);
  for (const bool learned : {false, true}) {
    CAPTURE(learned);
    const Trained result =
        self_distilled(graph, rules_for(DType::kInt4, false, true), {learned, false});
    CHECK(result.learned < 0.35 * result.nearest);
    CHECK(result.seen == 0);
    for (const WeightPlan& weight : result.plan.weights) {
      const Node& node = result.graph.node(weight.node);
      const Tensor& values = *result.graph.constant(node.inputs[1]);
      const bool widest = weight.params.scales == weight_params(values, DType::kInt4, -1).scales;
      CHECK(widest == !learned);
    }
  }
}

TEST_CASE("int8 and int4 with integer activations: learned scales, of moved values, too") {
  const Graph graph = network(true);
  const IntegerRules rules = rules_for(DType::kInt4, true, false);
  const PrecisionPlan before = plan_of(graph, rules);
  const Trained result = self_distilled(graph, rules, {true, true});
  CHECK(result.learned < 0.5 * result.nearest);
  const auto scale = [&](const PrecisionPlan& plan, const char* name) {
    return plan.values.at(graph.find_value(name)).scales.at(0);
  };
  for (const char* name : {"x", "r1", "r2"}) {
    CHECK(scale(result.plan, name) > 0);
    CHECK(scale(result.plan, name) != scale(before, name));
    CHECK_FALSE(result.plan.ranges.contains(graph.find_value(name)));
  }
  CHECK(scale(result.plan, "m") == scale(result.plan, "r1"));
  for (const auto& [id, params] : result.plan.values)
    CHECK((params.zero_points == before.values.at(id).zero_points));
  for (const WeightPlan& bias : result.plan.biases)
    for (const WeightPlan& weight : result.plan.weights) {
      if (weight.node != bias.node) continue;
      const ValueId input = graph.node(bias.node).inputs[0];
      for (size_t c = 0; c < bias.params.scales.size(); ++c)
        CHECK(bias.params.scales[c] ==
              weight.params.scales[c] * result.plan.values.at(input).scales[0]);
    }
  const Trained bytes = self_distilled(graph, rules_for(DType::kInt8, false, false), {true, true});
  CHECK(bytes.learned < bytes.nearest);
}

TEST_CASE("weights of reduced range stay within it") {
  IntegerRules rules = rules_for(DType::kInt8, false, true);
  rules.weight_reduce_range = true;
  const Trained result = self_distilled(network(), rules, {true, false}, 2);
  CHECK(result.seen == 0);
  for (const WeightPlan& weight : result.plan.weights) {
    const Tensor& values = *result.graph.constant(result.graph.node(weight.node).inputs[1]);
    for (const int64_t q : quantize_tensor(values, weight.params, weight.reduce_range).to_int64())
      CHECK(std::abs(q) <= 63);
  }
}

TEST_CASE("float readers of a value keep it, in training as in the file") {
  Graph graph = parsed(R"(agraph (float[N,3,8,8] x) => (float[N,3,8,8] y, float[N,3,8,8] s)
<float[3,3,1,1] w = )" +
                       numbers(9, 8, 0.5) + R"(> { y = Conv(x, w)  s = Sin(x) })");
  PrecisionPlan plan = plan_of(graph, rules_for(DType::kInt8, false, false));
  CHECK(separate_readers(graph, plan) == 1);
  CHECK(separate_readers(graph, plan) == 0);
  verify(graph, "separate_readers");
  const QuantizationAware aware(graph, plan);
  TrainableOptions options;
  aware.set_hooks(options);
  const TrainableGraph student(graph, options);
  const at::Tensor x = pictures(4, 5);
  const std::vector<at::Tensor> seen = student.evaluate({x});
  const Graph file = integer_graph(graph, aware.learned_plan(student.trained()));
  for (const NodeId id : file.node_ids()) CHECK(file.node(id).kind != OpKind::kIdentity);
  const std::vector<at::Tensor> written = outputs_of(file, x);
  CHECK(at::equal(seen[0], written[0]));
  CHECK(at::equal(seen[1], written[1]));
  CHECK(at::equal(seen[1], at::sin(x)));
  CHECK_FALSE(at::equal(seen[0], outputs_of(graph, x)[0]));

  // What integer nodes alone read, or one of them makes, needs nothing.
  Graph plain = network();
  PrecisionPlan whole = plan_of(plain, rules_for(DType::kInt8, false, false));
  CHECK(separate_readers(plain, whole) == 0);
}

TEST_CASE("a value that is only moved is rounded once; a Clip bounds the scale before it") {
  const Graph graph = network();
  const PrecisionPlan plan = plan_of(graph, rules_for(DType::kInt8, true, false));
  QuantizationAware aware(graph, plan, {true, true});
  const at::Tensor x = pictures(2, 5);
  const ValueId clipped = graph.find_value("r1"), moved = graph.find_value("m");
  REQUIRE(plan.values.contains(moved));
  CHECK(aware.activation(moved, x).is_same(x));
  CHECK_FALSE(at::equal(aware.activation(clipped, x), x));
  CHECK(aware.parameter(clipped, x).is_same(x));

  std::map<std::string, Tensor> state = aware.state();
  CHECK(state.size() == aware.parameters().size());
  CHECK(state.contains("step/r1"));
  CHECK(state.contains("step/w1"));
  CHECK_FALSE(state.contains("step/m"));
  for (const Parameter* parameter : aware.parameters()) CHECK_FALSE(parameter->decays);
  for (auto& [name, tensor] : state)
    tensor = Tensor::of<float>(tensor.shape(),
                               std::vector<float>(static_cast<size_t>(tensor.numel()), 5));
  aware.restore(state);
  CHECK(aware.state().at("step/x").identical(state.at("step/x")));
  const PrecisionPlan wide = aware.learned_plan(graph);
  CHECK(wide.values.at(clipped).scales[0] * 255.0F <= 6);
  CHECK(wide.values.at(clipped).scales[0] * 255.0F > 5.9999);
  CHECK((wide.values.at(moved) == wide.values.at(clipped)));
  CHECK(wide.values.at(graph.find_value("x")).scales[0] ==
        doctest::Approx(plan.values.at(graph.find_value("x")).scales[0] * std::exp(5.0)));
  state.erase("step/x");
  CHECK_THROWS_AS(aware.restore(state), Error);
}

TEST_CASE("a plan of nothing is refused") {
  const Graph graph = parsed("agraph (float[N,4] x) => (float[N,4] y) { y = Sin(x) }");
  CHECK_THROWS_AS(
      QuantizationAware(graph, select_nodes(graph, rules_for(DType::kInt8, true, true))), Error);
}

}  // namespace lathe
