#include "pass_check.h"
#include "quantize_case.h"

#include <algorithm>
#include <cmath>

#include "quantize/plan/without_nodes.h"
#include "quantize/sensitivity/layer_sensitivity.h"
#include "run/compare.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::usual_rules;
using test::values_text;

namespace {

std::string listed_weight(const std::string& declaration, int64_t count, uint64_t seed,
                          float size = 0.7f) {
  return declaration + " = " + values_text(count, seed, -size, size) + ", ";
}

std::string network_with(const std::string& middle) {
  return "agraph (float[1,3,8,8] x) => (float[1,10] y) <" +
         listed_weight("float[8,3,3,3] w1", 216, 1) + listed_weight("float[8] b1", 8, 2) +
         listed_weight("float[8,8,3,3] w2", 576, 3) + listed_weight("float[8,8,1,1] w3", 64, 4) +
         listed_weight("float[8,1,3,3] w4", 72, 5) + listed_weight("float[8,10] g", 80, 6) +
         R"(float[1] tenth = {0.1}>
{ c1 = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)  r1 = Relu(c1)
  c2 = Conv<pads = [1, 1, 1, 1]>(r1, w2)  t2 = Mul(c2, tenth)  r2 = Sigmoid(t2)
  c3 = Conv(r2, w3)  s = )" +
         middle + R"(
  c4 = Conv<pads = [1, 1, 1, 1], group = 8>(s, w4)  r4 = Relu(c4)
  p = GlobalAveragePool(r4)  f = Flatten(p)  y = Gemm(f, g) })";
}

const std::string kResidual = network_with("Add(c3, r1)");
// Every value has one reader.
const std::string kChain = network_with("Relu(c3)");

// Of calibration, too: a sample that is clipped would outweigh all others, and with it its few
// random signs.
constexpr size_t kLayerSamples = 48;

struct Planned {
  Graph graph;
  PrecisionPlan plan;
};

Planned plan_for(const std::string& body, bool per_channel) {
  Planned result{network(body), {}};
  IntegerRules rules = usual_rules();
  rules.weight_per_channel = per_channel;
  result.plan = select_nodes(result.graph, rules);
  const Statistics statistics =
      calibrate(Interpreter(result.graph), calibration_targets(result.graph, result.plan),
                normal_data(result.graph, kLayerSamples), {});
  result.plan =
      plan_precision(result.graph, rules, std::move(result.plan), statistics, Observer::kMinMax);
  return result;
}

LayerSensitivity measured_layers(const Planned& planned, size_t samples, int threads = 1) {
  SensitivityOptions options;
  options.run.threads = threads;
  options.probes = 8;
  return measure_sensitivity(planned.graph, planned.graph, planned.plan,
                             normal_data(planned.graph, samples), options);
}

double layer_noise(const Graph& before, const Graph& after) {
  return test::noise_between(before, after, kLayerSamples);
}

// When this node alone is quantized.
double alone_by_force(const Planned& planned, NodeId node) {
  std::set<NodeId> others;
  for (const auto& [id, role] : planned.plan.nodes)
    if (id != node) others.insert(id);
  Graph graph = planned.graph;
  insert_qdq(graph, without_nodes(graph, planned.plan, others, ""));
  return layer_noise(planned.graph, graph);
}

bool is_conv_or_gemm(const Graph& graph, NodeId id) {
  return graph.node(id).kind == OpKind::kConv || graph.node(id).kind == OpKind::kGemm;
}

}  // namespace

TEST_CASE("the estimate agrees with quantizing one layer at a time") {
  for (const bool per_channel : {true, false}) {
    CAPTURE(per_channel);
    const Planned planned = plan_for(kChain, per_channel);
    const LayerSensitivity sensitivity = measured_layers(planned, kLayerSamples);
    std::vector<std::pair<double, double>> pairs;
    for (const NodeNoise& row : sensitivity.nodes) {
      if (!is_conv_or_gemm(planned.graph, row.node)) continue;
      const double force = alone_by_force(planned, row.node);
      CAPTURE(planned.graph.value(planned.graph.node(row.node).outputs[0]).name);
      CAPTURE(row.alone());
      CAPTURE(force);
      CHECK(row.estimate == NoiseEstimate::kGradient);
      CHECK(row.alone() < 2 * force);
      CHECK(row.alone() > force / 2);
      pairs.emplace_back(row.alone(), force);
    }
    REQUIRE(pairs.size() == 5);
    // The same order, where the figures differ by more than the estimate's own uncertainty.
    for (const auto& [estimate, force] : pairs)
      for (const auto& [other_estimate, other_force] : pairs)
        if (force > 2 * other_force) CHECK(estimate > other_estimate);
    double parts = 0;
    for (const NodeNoise& row : sensitivity.nodes) parts += row.part;
    CHECK(parts == doctest::Approx(sensitivity.noise));
  }
}

TEST_CASE("the parts add up to what the whole network loses") {
  const Planned planned = plan_for(kResidual, true);
  const LayerSensitivity sensitivity = measured_layers(planned, kLayerSamples);
  Graph whole = planned.graph;
  insert_qdq(whole, planned.plan);
  const double force = layer_noise(planned.graph, whole);
  CHECK(sensitivity.noise < 2 * force);
  CHECK(sensitivity.noise > force / 2);
}

TEST_CASE("a layer of spread channels comes first with one scale for all") {
  // The first channel of w1 is 400 times as large as the others, and hardly read.
  const std::string large = values_text(3, 1, -20.0f, 20.0f);
  const std::string small = values_text(9, 2, -0.05f, 0.05f);
  const std::string body = "agraph (float[1,3,8,8] x) => (float[1,4,8,8] y) <float[4,3,1,1] w1 = " +
                           large.substr(0, large.size() - 1) + ", " + small.substr(1) +
                           R"(, float[4,4,1,1] w2 = {0.0001, 1, 0.5, -0.3, 0.0001, -0.2, 0.7, 0.4,
  0.0001, 0.4, -0.8, 0.1, 0.0001, 0.6, 0.2, -0.9}, float[4,4,1,1] w3 = )" +
                           values_text(16, 3, -0.7f, 0.7f) + R"(>
{ c1 = Conv(x, w1)  t = Tanh(c1)  c2 = Conv(t, w2)  y = Conv(c2, w3) })";
  const auto row_of_first = [&](bool per_channel) {
    const Planned planned = plan_for(body, per_channel);
    const LayerSensitivity sensitivity = measured_layers(planned, 16);
    const NodeId first = planned.graph.value(planned.graph.find_value("c1")).producer;
    if (!per_channel) CHECK(rank_for_float(sensitivity, planned.plan).at(0) == first);
    return *std::find_if(sensitivity.nodes.begin(), sensitivity.nodes.end(),
                         [&](const NodeNoise& noise) { return noise.node == first; });
  };
  CHECK(row_of_first(false).weight > 20 * row_of_first(true).weight);
}

TEST_CASE("the ranking ends with a layer that computes and leaves out what only moves") {
  const Planned planned = plan_for(kResidual, true);
  LayerSensitivity sensitivity = measured_layers(planned, 4);
  const std::vector<NodeId> ranking = rank_for_float(sensitivity, planned.plan);
  REQUIRE_FALSE(ranking.empty());
  CHECK(planned.plan.nodes.at(ranking.back()) == QuantRole::kCompute);
  for (const NodeId id : ranking) CHECK(planned.plan.nodes.at(id) != QuantRole::kMove);
  // Followers that cost least are no candidates.
  std::stable_sort(sensitivity.nodes.begin(), sensitivity.nodes.end(),
                   [&](const NodeNoise& a, const NodeNoise& b) {
                     return planned.plan.nodes.at(a.node) < planned.plan.nodes.at(b.node);
                   });
  CHECK(rank_for_float(sensitivity, planned.plan).size() == 5);
}

TEST_CASE("the same figures for any number of threads") {
  const Planned planned = plan_for(kResidual, true);
  const LayerSensitivity one = measured_layers(planned, 9, 1);
  const LayerSensitivity three = measured_layers(planned, 9, 3);
  REQUIRE(one.nodes.size() == three.nodes.size());
  for (size_t i = 0; i < one.nodes.size(); ++i) {
    CHECK(one.nodes[i].node == three.nodes[i].node);
    CHECK(one.nodes[i].part == three.nodes[i].part);
    CHECK(one.nodes[i].weight == three.nodes[i].weight);
  }
  CHECK(one.noise == three.noise);
}

TEST_CASE("before an op without derivative the local error stands in") {
  const Planned planned =
      plan_for("agraph (float[1,3,8,8] x) => (float[1,4,8,8] y) <" +
                   listed_weight("float[4,3,1,1] w1", 12, 1) +
                   listed_weight("float[4,4,1,1] w2", 16, 2) + R"(float[1] ten = {10}>
{ c1 = Conv(x, w1)  m = Mul(c1, ten)  r = Round(m)  y = Conv(r, w2) })",
               true);
  const LayerSensitivity sensitivity = measured_layers(planned, 4);
  const auto row = [&](const std::string& output) {
    const NodeId id = planned.graph.value(planned.graph.find_value(output)).producer;
    return *std::find_if(sensitivity.nodes.begin(), sensitivity.nodes.end(),
                         [&](const NodeNoise& noise) { return noise.node == id; });
  };
  CHECK(row("c1").estimate == NoiseEstimate::kLocal);
  CHECK(row("c1").weight > 0);
  CHECK(row("y").estimate == NoiseEstimate::kGradient);
}

TEST_CASE("integers alone as outputs: everything is local, nothing fails") {
  const Planned planned =
      plan_for("agraph (float[1,3,4,4] x) => (int64[1,1,4,4] y) <" +
                   listed_weight("float[4,3,1,1] w1", 12, 1) +
                   "float[1] unused = {1}> { c1 = Conv(x, w1)  y = ArgMax<axis = 1>(c1) }",
               true);
  const LayerSensitivity sensitivity = measured_layers(planned, 2);
  REQUIRE(sensitivity.nodes.size() == 1);
  CHECK(sensitivity.nodes[0].estimate == NoiseEstimate::kLocal);
  CHECK(std::isfinite(sensitivity.noise));
}

TEST_CASE("a bias that was corrected takes its part of the weights' error back") {
  const Planned planned = plan_for(kResidual, false);
  PrecisionPlan plan = planned.plan;
  Graph corrected = planned.graph;
  const Statistics statistics = calibrate(
      Interpreter(corrected), calibration_targets(corrected, plan), normal_data(corrected, 16), {});
  REQUIRE(correct_bias(corrected, plan, statistics) > 0);
  const SampleSource data = normal_data(planned.graph, 24);
  const auto weights = [&](const Graph& rounded) {
    double sum = 0;
    for (const NodeNoise& row : measure_sensitivity(planned.graph, rounded, plan, data, {}).nodes)
      sum += row.weight;
    return sum;
  };
  CHECK(weights(corrected) < 0.8 * weights(planned.graph));
}

TEST_CASE("several outputs count alike, and an output of zeros does not disturb") {
  const Planned planned = plan_for(
      "agraph (float[1,3,4,4] x) => (float[1,4,4,4] c1, float[1,1,1,1] y, float[1,4,4,4] z) <" +
          listed_weight("float[4,3,1,1] w1", 12, 1) + listed_weight("float[1,3,4,4] w2", 48, 2) +
          R"(float[1] zero = {0}>
{ c1 = Conv(x, w1)  d = Conv(x, w2)  y = Identity(d)  z = Mul(c1, zero) })",
      true);
  const LayerSensitivity sensitivity = measured_layers(planned, 24);
  CHECK(std::isfinite(sensitivity.noise));
  CHECK(sensitivity.noise > 0);
  // Each convolution alone determines one of the two outputs that are not zero.
  for (const NodeNoise& row : sensitivity.nodes) {
    CHECK(row.part > 0.02 * sensitivity.noise);
    CHECK(row.estimate == NoiseEstimate::kGradient);
  }
}

}  // namespace lathe
