// What single nodes cost that are quantized without a plan of their values.
#include <algorithm>
#include <cmath>
#include <set>

#include "ir/verify.h"
#include "onnx/text_form.h"
#include "pass_check.h"
#include "quantize/apply/quantize_dynamically.h"
#include "quantize/apply/store_integer_weights.h"
#include "quantize/plan/without_nodes.h"
#include "quantize/sensitivity/layer_sensitivity.h"
#include "quantize/sensitivity/node_alone.h"
#include "quantize_case.h"
#include "run/compare.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::maker_of;
using test::network;
using test::normal_data;
using test::values_text;

namespace {

constexpr size_t kNodeSamples = 32;

std::string weight(const std::string& declaration, int64_t count, uint64_t seed) {
  return declaration + " = " + values_text(count, seed, -0.7F, 0.7F);
}

const std::string kLayers =
    "agraph (float[1,3,8,8] x) => (float[1,10] y) <" + weight("float[8,3,3,3] w1", 216, 1) + ", " +
    weight("float[8,8,3,3] w2", 576, 2) + ", " + weight("float[8,8] w3", 64, 3) + ", " +
    weight("float[8,10] g", 80, 4) + R"(>
{ c1 = Conv<pads = [1, 1, 1, 1]>(x, w1)  r1 = Relu(c1)  c2 = Conv<pads = [1, 1, 1, 1]>(r1, w2)
  p = GlobalAveragePool(c2)  f = Flatten(p)  m = MatMul(f, w3)  t = Tanh(m)  y = Gemm(t, g) })";

// Two outputs that count, and a branch with weights of its own.
const std::string kRecurrent =
    "agraph (float[5,1,16] x) => (float[1,8] y) <bool yes = {1}, " +
    weight("float[1,32,16] w", 512, 6) + ", " + weight("float[1,32,8] r", 256, 7) + R"(>
{ all, h = LSTM<hidden_size = 8>(x, w, r)  s = Squeeze(h)  q = ReduceSum<keepdims = 0>(all)
  a = Add(s, q)  n = Tanh(a)
  b = If (yes) <then_branch = t () => (float[1,8] o) <)" +
    weight("float[8,8] v", 64, 8) + R"(> { i = Tanh(a)  k = MatMul(i, v)  o = Add(k, n) },
                else_branch = e () => (float[1,8] z) { z = Neg(n) }>
  y = Neg(b) })";

double node_noise(const Graph& before, const Graph& after) {
  return test::noise_between(before, after, kNodeSamples);
}

WeightStorageRules int4() {
  WeightStorageRules rules;
  rules.dtype = DType::kInt4;
  return rules;
}

Graph stored(const Graph& graph, const WeightStoragePlan& plan) {
  Graph after = graph;
  StoredNoise noise;
  store_integer_weights(after, plan, noise);
  verify(after, "store_integer_weights");
  return after;
}

LayerSensitivity measured_nodes(const Graph& graph, const WeightStorageRules& rules,
                                int threads = 1) {
  std::vector<NodeAlone> nodes;
  for (const NodeId id : planned_nodes(plan_weight_storage(graph, rules))) {
    nodes.push_back(node_alone(graph, id));
    verify(nodes.back().graph, "node_alone");
    nodes.back().graph = stored(nodes.back().graph, plan_weight_storage(nodes.back().graph, rules));
  }
  SensitivityOptions options;
  options.run.threads = threads;
  options.probes = 8;
  return measure_sensitivity(graph, nodes, normal_data(graph, kNodeSamples), options);
}

// When all but this node are left in float.
double by_force(const Graph& graph, const WeightStoragePlan& plan, NodeId node) {
  std::set<NodeId> others = planned_nodes(plan);
  others.erase(node);
  return node_noise(graph, stored(graph, without_nodes(graph, plan, others, "")));
}

}  // namespace

TEST_CASE("a node alone computes what it computes in its network") {
  const Graph graph = network(kLayers);
  const NodeAlone alone = node_alone(graph, maker_of(graph, "c2"));
  verify(alone.graph, "node_alone");
  CHECK((alone.inputs == std::vector<ValueId>{graph.find_value("r1")}));
  CHECK(test::count_of(alone.graph, OpKind::kIdentity) == 1);
  REQUIRE(alone.graph.outputs().size() == 1);
  CHECK(alone.graph.value(alone.graph.outputs()[0]).name == "c2");
  // A network's input stays one.
  const NodeAlone first = node_alone(graph, maker_of(graph, "c1"));
  CHECK(first.graph.node_count() == 1);
  // What bodies capture is an input, too.
  const Graph branched = network(kRecurrent);
  const NodeAlone branch = node_alone(branched, maker_of(branched, "b"));
  verify(branch.graph, "node_alone");
  CHECK((std::set<ValueId>(branch.inputs.begin(), branch.inputs.end()) ==
         std::set<ValueId>{branched.find_value("a"), branched.find_value("n")}));
}

TEST_CASE("the estimate of stored weights agrees with storing one layer at a time") {
  for (const std::string& body : {kLayers, kRecurrent}) {
    const Graph graph = network(body);
    // Four bits are too coarse for a recurrence to be first order.
    const WeightStorageRules rules = body == kLayers ? int4() : WeightStorageRules{};
    const WeightStoragePlan plan = plan_weight_storage(graph, rules);
    const LayerSensitivity sensitivity = measured_nodes(graph, rules);
    REQUIRE(sensitivity.nodes.size() == (body == kLayers ? 4 : 2));
    double parts = 0;
    for (const NodeNoise& row : sensitivity.nodes) {
      const double force = by_force(graph, plan, row.node);
      CAPTURE(graph.node(row.node).type_name());
      CAPTURE(row.part);
      CAPTURE(force);
      CHECK(row.estimate == NoiseEstimate::kGradient);
      CHECK(row.part < 2 * force);
      CHECK(row.part > force / 2);
      CHECK(row.alone() == row.part);
      parts += row.part;
    }
    CHECK(std::is_sorted(sensitivity.nodes.begin(), sensitivity.nodes.end(),
                         [](const NodeNoise& a, const NodeNoise& b) { return a.part > b.part; }));
    CHECK(parts == doctest::Approx(sensitivity.noise));
    CHECK(sensitivity.values.empty());
    const LayerSensitivity parallel = measured_nodes(graph, rules, 3);
    for (size_t i = 0; i < parallel.nodes.size(); ++i)
      CHECK(parallel.nodes[i].part == sensitivity.nodes[i].part);
  }
}

TEST_CASE("errors against what float values are rounded to anyway") {
  const Graph graph = network(kLayers);
  NodeAlone same = node_alone(graph, maker_of(graph, "m"));
  same.graph = stored(same.graph, plan_weight_storage(same.graph, int4()));
  NodeAlone other = same;
  other.against = same.graph;
  const auto noise = [&](const NodeAlone& alone) {
    return measure_sensitivity(graph, {alone}, normal_data(graph, 4), {}).noise;
  };
  CHECK(noise(same) > 0);
  CHECK(noise(other) == 0);
}

TEST_CASE("an infinite error comes first and spoils no other") {
  const Graph graph = network(kLayers);
  std::vector<NodeAlone> nodes{node_alone(graph, maker_of(graph, "c2")),
                               node_alone(graph, maker_of(graph, "m"))};
  nodes[0].graph = stored(nodes[0].graph, plan_weight_storage(nodes[0].graph, int4()));
  const NodeId inside = nodes[1].graph.node_ids().back();
  nodes[1].graph.set_constant(nodes[1].graph.node(inside).inputs[1],
                              Tensor::of<float>({8, 8}, std::vector<float>(64, INFINITY)));
  const LayerSensitivity sensitivity = measure_sensitivity(graph, nodes, normal_data(graph, 4), {});
  CHECK(sensitivity.nodes[0].node == nodes[1].node);
  CHECK(std::isfinite(sensitivity.noise));
  CHECK(sensitivity.nodes[1].part < 1);
  CHECK(sensitivity.nodes[1].part > 0);
}

TEST_CASE("a narrowed plan of weights is the one of a selection without these nodes") {
  const Graph graph = network(kLayers);
  const WeightStoragePlan full = plan_weight_storage(graph, int4());
  const std::set<NodeId> planned = planned_nodes(full);
  const std::vector<NodeId> nodes(planned.begin(), planned.end());
  REQUIRE(nodes.size() == 4);
  for (unsigned subset = 0; subset < 16; ++subset) {
    std::set<NodeId> left;
    for (size_t i = 0; i < nodes.size(); ++i)
      if ((subset >> i & 1) != 0) left.insert(nodes[i]);
    WeightStorageRules rules = int4();
    rules.obstacle = [&](const Node& node) {
      return left.contains(graph.find_node(node.name)) ? std::string("given back") : std::string();
    };
    const WeightStoragePlan wanted = plan_weight_storage(graph, rules);
    const WeightStoragePlan narrowed = without_nodes(graph, full, left, "given back");
    CHECK(text_form(stored(graph, narrowed)) == text_form(stored(graph, wanted)));
    CHECK(narrowed.exceptions.size() == wanted.exceptions.size());
    for (const PlanException& row : narrowed.exceptions) CHECK(row.reason == "given back");

    DynamicRules dynamic;
    dynamic.convolution = [](const Node&) { return true; };
    const DynamicPlan products = plan_dynamic(graph, dynamic);
    REQUIRE((planned_nodes(products) == planned));
    dynamic.obstacle = rules.obstacle;
    Graph kept = graph;
    Graph selected = graph;
    quantize_dynamically(kept, without_nodes(graph, products, left, "given back"));
    quantize_dynamically(selected, plan_dynamic(graph, dynamic));
    CHECK(text_form(kept) == text_form(selected));
  }
}

TEST_CASE("a weight that two nodes read stays stored for the one; bodies go back as a whole") {
  const Graph shared = network(
      "agraph (float[2,8] x) => (float[2,8] y) <float[8,8] w = " + values_text(64, 6, -1, 1) +
      "> { a = MatMul(x, w)  y = MatMul(a, w) }");
  const WeightStoragePlan plan = plan_weight_storage(shared, {});
  const WeightStoragePlan narrowed =
      without_nodes(shared, plan, {maker_of(shared, "a")}, "given back");
  REQUIRE(narrowed.weights.size() == 1);
  CHECK(narrowed.weights[0].readers.size() == 1);
  CHECK(stored(shared, narrowed).constant(shared.node(maker_of(shared, "a")).inputs[1]) != nullptr);

  const Graph branched = network(kRecurrent);
  const WeightStoragePlan both = plan_weight_storage(branched, {});
  REQUIRE(both.bodies.size() == 1);
  const NodeId branch = maker_of(branched, "b");
  CHECK(planned_nodes(both).contains(branch));
  const WeightStoragePlan rest = without_nodes(branched, both, {branch}, "given back");
  CHECK(rest.bodies.empty());
  CHECK(rest.weights.size() == both.weights.size());
  CHECK(rest.exceptions.back().node == branched.node(branch).name);
}

}  // namespace lathe
