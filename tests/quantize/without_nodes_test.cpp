#include "pass_check.h"
#include "quantize_case.h"

#include "ir/verify.h"
#include "onnx/text_form.h"
#include "quantize/plan/without_nodes.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::maker_of;
using test::network;
using test::planned;
using test::planned_values;
using test::usual_rules;

namespace {

const std::string kNetwork = R"(agraph (float[1,4,8,8] x) => (float[1,3] y)
<float[4,4,1,1] w1 = )" + test::values_text(16, 1, -0.7f, 0.7f) +
                             ", float[4] b1 = {0.5, -0.25, 1, 0}, float[4,4,3,3] w2 = " +
                             test::values_text(144, 2, -0.7f, 0.7f) +
                             ", float[4,4,1,1] w3 = " + test::values_text(16, 3, -0.7f, 0.7f) +
                             ", float[4,3] g = " + test::values_text(12, 4, -0.7f, 0.7f) + R"(>
{ c1 = Conv(x, w1, b1)  r1 = Relu(c1)
  p1 = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
  c2 = Conv<pads = [1, 1, 1, 1]>(p1, w2)  s = Add(c2, p1)
  c3 = Conv(s, w3)  a = GlobalAveragePool(c3)  f = Flatten(a)  y = Gemm(f, g) })";

PrecisionPlan full_plan(const Graph& graph, const IntegerRules& rules) {
  PrecisionPlan plan = select_nodes(graph, rules);
  const Statistics statistics = calibrate(Interpreter(graph), calibration_targets(graph, plan),
                                          test::normal_data(graph, 8), {});
  return plan_precision(graph, rules, std::move(plan), statistics, Observer::kMinMax);
}

}  // namespace

TEST_CASE("a narrowed plan is the one of a selection without these nodes") {
  const Graph graph = network(kNetwork);
  const PrecisionPlan full = full_plan(graph, usual_rules());
  REQUIRE(full.nodes.size() == 8);
  const std::vector<NodeId> nodes = graph.order();
  // Every subset of the nodes.
  for (unsigned subset = 0; subset < (1U << nodes.size()); ++subset) {
    std::set<NodeId> left;
    for (size_t i = 0; i < nodes.size(); ++i)
      if ((subset >> i & 1) != 0 && full.nodes.contains(nodes[i])) left.insert(nodes[i]);
    CAPTURE(subset);
    IntegerRules rules = usual_rules();
    rules.selected = [&](const Node& node) { return !left.contains(graph.find_node(node.name)); };
    const PrecisionPlan wanted = select_nodes(graph, rules);
    const PrecisionPlan narrowed = without_nodes(graph, full, left, "given back");
    CHECK(planned(graph, narrowed) == planned(graph, wanted));
    CHECK(planned_values(graph, narrowed) == planned_values(graph, wanted));
    for (const auto& [id, params] : narrowed.values) CHECK((params == full.values.at(id)));
    for (const auto* group : {&narrowed.weights, &narrowed.biases})
      for (const WeightPlan& row : *group) CHECK(narrowed.nodes.contains(row.node));
    CHECK(narrowed.exceptions.size() == full.exceptions.size() + left.size());
    Graph inserted = graph;
    insert_qdq(inserted, narrowed);
    verify(inserted, "insert_qdq");
  }
}

TEST_CASE("all nodes left in float leave an empty plan and the float network") {
  const Graph graph = network(kNetwork);
  const PrecisionPlan full = full_plan(graph, usual_rules());
  std::set<NodeId> all;
  for (const auto& [id, role] : full.nodes) all.insert(id);
  const PrecisionPlan none = without_nodes(graph, full, all, "given back");
  CHECK(none.nodes.empty());
  CHECK(none.values.empty());
  CHECK(none.weights.empty());
  CHECK(none.biases.empty());
  Graph inserted = graph;
  CHECK(insert_qdq(inserted, none) == 0);
  CHECK(text_form(inserted) == text_form(graph));
}

TEST_CASE("a plan of weights alone keeps activations in float") {
  const Graph graph = network(kNetwork);
  IntegerRules rules = usual_rules();
  rules.weight_only = true;
  const PrecisionPlan full =
      plan_precision(graph, rules, select_nodes(graph, rules), {}, Observer::kMinMax);
  REQUIRE(full.weights.size() == 4);
  const PrecisionPlan narrowed = without_nodes(graph, full, {maker_of(graph, "c2")}, "given back");
  CHECK(narrowed.weights.size() == 3);
  CHECK(narrowed.nodes.size() == 3);
  CHECK(narrowed.values.empty());
}

TEST_CASE("layers that go back to float get their weights and biases back") {
  const Graph reference = network(kNetwork);
  PrecisionPlan plan = full_plan(reference, usual_rules());
  Graph rounded = reference;
  const Statistics statistics =
      calibrate(Interpreter(reference), calibration_targets(reference, plan),
                test::normal_data(reference, 8), {});
  // Changes b1, and gives c2 and c3 biases that they did not have.
  REQUIRE(correct_bias(rounded, plan, statistics) >= 3);
  std::set<NodeId> all;
  for (const auto& [id, role] : plan.nodes) all.insert(id);
  CHECK(test::sqnr_between(reference, rounded) < 80);
  CHECK(restore_float_layers(rounded, reference, all) == 4);
  verify(rounded, "restore_float_layers");
  CHECK(rounded.node(maker_of(rounded, "c2")).inputs.size() == 2);
  CHECK(test::sqnr_between(reference, rounded) > 300);
}

TEST_CASE("a bias that is named empty in the reference is taken off again, too") {
  Graph reference = network(kNetwork);
  reference.add_node_input(maker_of(reference, "c2"), ValueId{});
  PrecisionPlan plan = full_plan(reference, usual_rules());
  Graph rounded = reference;
  const Statistics statistics =
      calibrate(Interpreter(reference), calibration_targets(reference, plan),
                test::normal_data(reference, 8), {});
  REQUIRE(correct_bias(rounded, plan, statistics) >= 3);
  const NodeId conv = maker_of(rounded, "c2");
  REQUIRE(rounded.node(conv).input(2).valid());
  CHECK(restore_float_layers(rounded, reference, {conv}) == 1);
  verify(rounded, "restore_float_layers");
  CHECK_FALSE(rounded.node(conv).input(2).valid());
}

}  // namespace lathe
