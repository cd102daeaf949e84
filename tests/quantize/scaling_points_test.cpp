#include "quantize/equalize/scaling_points.h"

#include <algorithm>
#include <cmath>

#include "ir/verify.h"
#include "onnx/text_form.h"
#include "quantize/equalize/equalize_channels.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::usual_rules;
using test::values_text;

namespace {

// A block as in an encoder: what is normalized feeds two products and a residual sum. Some of its
// channels are a hundred times as high as the others.
std::string block() {
  std::string gamma = "{";
  for (int c = 0; c < 16; ++c)
    gamma += (c == 0 ? "" : ", ") + std::to_string(c % 8 == 3 ? 50.0 : 0.5);
  return "agraph (float[1,6,16] x) => (float[1,6,16] y)\n<float[16] g = " + gamma +
         "}, float[16] o = " + values_text(16, 2, -0.1f, 0.1f) +
         ", float[16,16] w = " + values_text(256, 3, -1, 1) +
         ", float[16,16] u = " + values_text(256, 4, -1, 1) + R"(>
{ n = LayerNormalization<axis = -1>(x, g, o)  a = MatMul(n, w)  b = MatMul(n, u)
  c = Mul(a, b)  t = Tanh(c)  y = Add(t, n) })";
}

IntegerRules rules() {
  IntegerRules rules = usual_rules();
  rules.ops = {OpKind::kMatMul};
  return rules;
}

double sqnr(const Graph& before, const Graph& graph) {
  Graph quantized = graph;
  PrecisionPlan plan = select_nodes(quantized, rules());
  const Statistics statistics = calibrate(
      Interpreter(quantized), calibration_targets(quantized, plan), normal_data(quantized, 16), {});
  plan = plan_precision(quantized, rules(), plan, statistics, Observer::kMinMax);
  insert_qdq(quantized, plan);
  return test::sqnr_between(before, quantized);
}

}  // namespace

TEST_CASE("products behind a normalization that a sum reads, too, get a scaling of their own") {
  const Graph before = network(block());
  CHECK(find_scale_classes(before).empty());
  Graph graph = before;
  const std::vector<NodeId> points = insert_scaling_points(graph, select_nodes(graph, rules()));
  verify(graph, "insert_scaling_points");
  REQUIRE(points.size() == 1);
  CHECK(graph.value(graph.node(points[0]).output(0)).name == "n_scaled");
  CHECK(graph.value(graph.node(points[0]).output(0)).users.size() == 2);
  const auto classes = find_scale_classes(graph);
  REQUIRE(classes.size() == 1);
  CHECK(classes[0].consumers.size() == 2);

  CalibrationTargets targets;
  targets.channels = equalization_targets(graph, classes);
  const Statistics statistics = calibrate(Interpreter(graph), targets, normal_data(graph, 8), {});
  const EqualizationPlan plan =
      plan_equalization(graph, select_nodes(graph, rules()), rules(), statistics, points);
  REQUIRE(plan.classes.size() == 1);
  const auto& factors = plan.classes[0].factors;
  CHECK(factors[3] < 0.3 * factors[2]);
  equalize_channels(graph, plan);
  CHECK(remove_idle_points(graph, points) == 0);
  CHECK(test::sqnr_between(before, graph) > 100);
  CHECK(sqnr(before, graph) > sqnr(before, before) + 6);
}

TEST_CASE("points that scale nothing go without a trace") {
  const Graph before = network(block());
  Graph graph = before;
  const std::vector<NodeId> points = insert_scaling_points(graph, select_nodes(graph, rules()));
  CHECK(remove_idle_points(graph, points) == 1);
  verify(graph, "remove_idle_points");
  CHECK(test::sqnr_between(before, graph) == INFINITY);
  CHECK(graph.node_count() == before.node_count());
}

TEST_CASE(
    "no point where a value is scaled without one, is an integer's, or its weight is shared") {
  const std::string head =
      "agraph (float[1,4,8] x) => (float[1,4,3] y)\n<float[8] g = " + values_text(8, 1, 1, 2) +
      ", float[8,3] v = " + values_text(24, 3, -1, 1);
  const auto points = [&](const std::string& body) {
    Graph graph = network(body);
    return insert_scaling_points(graph, select_nodes(graph, rules())).size();
  };
  CHECK(points(head + "> { n = LayerNormalization<axis = -1>(x, g)  y = MatMul(n, v) }") == 0);
  CHECK(points(head + "> { n = Tanh(x)  y = MatMul(n, v) }") == 1);
  CHECK(points(head + R"(> { n = Tanh(x)  m = Neg(n)  a = MatMul(n, v)  b = MatMul(m, v)
  y = Add(a, b) })") == 0);
  CHECK(points(head + ", float[8,8] w = " + values_text(64, 4, -1, 1) +
               "> { a = MatMul(x, w)  y = MatMul(a, v) }") == 0);
}

}  // namespace lathe
