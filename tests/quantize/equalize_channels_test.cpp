#include "quantize/equalize/equalize_channels.h"

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "ir/verify.h"
#include "onnx/text_form.h"
#include "pass_check.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::usual_rules;
using test::values_text;

namespace {

Statistics channels_of(const Graph& graph) {
  CalibrationTargets targets;
  targets.channels = equalization_targets(graph, find_scale_classes(graph));
  return calibrate(Interpreter(graph), targets, normal_data(graph, 8), {});
}

EqualizationPlan plan_for(const Graph& graph, const IntegerRules& rules) {
  return plan_equalization(graph, select_nodes(graph, rules), rules, channels_of(graph));
}

// One class of every network below by hand: channel c times 2^(c - 1) or its like, so that scaling
// itself rounds nothing.
EqualizationPlan plan_by_hand(const Graph& graph) {
  EqualizationPlan plan;
  for (ScaleClass& members : find_scale_classes(graph)) {
    std::vector<double> factors;
    for (int64_t c = 0; c < members.channels; ++c)
      factors.push_back(members.bounds.empty() ? std::ldexp(1.0, static_cast<int>(c % 5) - 1)
                                               : std::ldexp(1.0, -static_cast<int>(c % 3)));
    plan.classes.push_back({std::move(members), std::move(factors), 0, 0});
  }
  return plan;
}

double difference(const Graph& a, const Graph& b) {
  double largest = 0;
  double error = 0;
  for (size_t i = 0; i < 4; ++i) {
    const SampleSource data = normal_data(a, 4);
    const auto wanted = Interpreter(a).run_tensors(data.sample(i));
    const auto got = Interpreter(b).run_tensors(data.sample(i));
    for (size_t o = 0; o < wanted.size(); ++o) {
      const auto x = wanted[o].to_double();
      const auto y = got[o].to_double();
      for (size_t k = 0; k < x.size(); ++k) {
        largest = std::max(largest, std::fabs(x[k]));
        error = std::max(error, std::fabs(x[k] - y[k]));
      }
    }
  }
  REQUIRE(largest > 0);
  return error / largest;
}

// Finds `classes` classes, scales all of them, and CHECKs that the function stays and that
// constants of `nodes` nodes change.
Graph check_scaling(const std::string& body, size_t classes, int nodes) {
  const Graph before = network(body);
  const EqualizationPlan plan = plan_by_hand(before);
  CHECK(plan.classes.size() == classes);
  Graph after = before;
  CHECK(equalize_channels(after, plan) == nodes);
  verify(after, "equalize_channels");
  CHECK((text_form(after) == text_form(before)) == (nodes == 0));
  CHECK(difference(before, after) < 1e-5);
  return after;
}

std::string constant(const std::string& type, const std::string& name, int64_t count,
                     uint64_t seed) {
  return type + " " + name + " = " + values_text(count, seed, -1, 1);
}

const std::string kX = "agraph (float[1,3,6,6] x) => (float[1,2,6,6] y)\n<";
const std::string kPair = constant("float[4,3,1,1]", "w", 12, 1) + ", " +
                          constant("float[4]", "b", 4, 2) + ", " +
                          constant("float[2,4,1,1]", "v", 8, 3);

// Depthwise channels that differ a thousandfold, which one scale for all weights cannot hold.
std::string spread_thousandfold() {
  std::string spread = "{";
  for (int c = 0; c < 6; ++c)
    for (int tap = 0; tap < 9; ++tap)
      spread += (c + tap == 0 ? "" : ", ") +
                std::to_string(std::pow(4.0, c - 3) * (tap == 4 ? 1.0 : 0.3 + 0.05 * tap));
  return "agraph (float[1,3,6,6] x) => (float[1,2,6,6] y)\n<" +
         constant("float[6,3,1,1]", "w", 18, 1) + ", " + constant("float[6]", "b", 6, 2) +
         ", float[6,1,3,3] d = " + spread + "}, " + constant("float[2,6,1,1]", "v", 12, 3) +
         R"(> { c = Conv(x, w, b)  r = Relu(c)
  e = Conv<group = 6, kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r, d)  f = Relu(e)
  y = Conv(f, v) })";
}

}  // namespace

TEST_CASE("one factor a channel goes into the producer and out of the consumer") {
  const Graph after =
      check_scaling(kX + kPair + "> { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v) }", 1, 2);
  const Graph before = network(kX + kPair + "> { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v) }");
  const auto old = before.constant(before.find_value("w"))->to_double();
  for (const NodeId id : after.node_ids()) {
    const Node& node = after.node(id);
    if (node.kind != OpKind::kConv || !node.input(2).valid()) continue;
    const auto scaled = after.constant(node.input(1))->to_double();
    for (size_t i = 0; i < old.size(); ++i)
      CHECK(scaled[i] == doctest::Approx(old[i] * std::ldexp(1.0, static_cast<int>(i / 3) - 1)));
  }
}

TEST_CASE("what lies between: activations, pooling, slopes, residual branches") {
  check_scaling(kX + kPair + ", " + constant("float[4,1,1]", "s", 4, 5) +
                    R"(> { c = Conv(x, w, b)  l = LeakyRelu<alpha = 0.1>(c)  p = PRelu(l, s)
  m = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(p)
  a = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(m)  y = Conv(a, v) })",
                1, 2);
  // Both producers of a sum and both of its readers.
  check_scaling(kX + kPair + ", " + constant("float[4,4,1,1]", "u", 16, 4) +
                    R"(> { c = Conv(x, w, b)  r = Relu(c)  d = Conv(r, u)  e = Add(d, c)
  y = Conv(e, v) })",
                1, 3);
  check_scaling("agraph (float[1,3,6,6] x) => (float[1,2] y)\n<" +
                    constant("float[4,3,1,1]", "w", 12, 1) + ", " +
                    constant("float[2,4]", "v", 8, 3) + R"(> { c = Conv(x, w)
  g = GlobalAveragePool(c)  f = Flatten<axis = 1>(g)  y = Gemm<transB = 1>(f, v) })",
                1, 2);
}

TEST_CASE("products both ways round, transposed and grouped convolutions") {
  const std::string head = "agraph (float[2,3] x) => (float[2,2] y)\n<";
  check_scaling(head + constant("float[3,4]", "w", 12, 1) + ", " + constant("float[4]", "b", 4, 2) +
                    ", " + constant("float[2,4]", "v", 8, 3) +
                    "> { c = Gemm(x, w, b)  r = Relu(c)  y = Gemm<transB = 1>(r, v) }",
                1, 2);
  check_scaling(head + constant("float[4,3]", "w", 12, 1) + ", " + constant("float[1]", "b", 1, 2) +
                    ", " + constant("float[4,2]", "v", 8, 3) +
                    "> { c = Gemm<transB = 1>(x, w, b)  r = Relu(c)  y = Gemm(r, v) }",
                1, 2);
  check_scaling("agraph (float[1,4,5,3] x) => (float[1,4,5,2] y)\n<" +
                    constant("float[3,6]", "w", 18, 1) + ", " + constant("float[6]", "b", 6, 2) +
                    ", " + constant("float[6,2]", "v", 12, 3) +
                    "> { c = MatMul(x, w)  d = Add(b, c)  r = Relu(d)  y = MatMul(r, v) }",
                1, 3);
  check_scaling("agraph (float[1,4,6,6] x) => (float[1,6,6,6] y)\n<" +
                    constant("float[4,3,1,1]", "w", 12, 1) + ", " +
                    constant("float[6,3,1,1]", "v", 18, 3) +
                    R"(> { c = ConvTranspose<group = 2>(x, w)  r = Relu(c)
  y = Conv<group = 2>(r, v) })",
                1, 2);
  check_scaling("agraph (float[1,3,6,6] x) => (float[1,4,6,6] y)\n<" +
                    constant("float[6,3,1,1]", "w", 18, 1) + ", " +
                    constant("float[6,2,1,1]", "v", 12, 3) +
                    "> { c = Conv(x, w)  r = Relu(c)  y = ConvTranspose<group = 2>(r, v) }",
                1, 2);
}

TEST_CASE("a depthwise Conv ends one class and begins the next") {
  check_scaling(spread_thousandfold(), 2, 3);
}

TEST_CASE("a normalization before two products, its factor and offset written out or not") {
  const std::string head =
      "agraph (float[1,4,8] x) => (float[1,4,3] y, float[1,4,5] z)\n<" +
      constant("float[8]", "g", 8, 1) + ", " + constant("float[8]", "o", 8, 2) + ", " +
      constant("float[8,3]", "v", 24, 3) + ", " + constant("float[8,5]", "u", 40, 4);
  check_scaling(head + R"(> { n = LayerNormalization<axis = -1>(x, g, o)  y = MatMul(n, v)
  z = MatMul(n, u) })",
                1, 3);
  check_scaling(head + R"(> { t = Tanh(x)  m = Mul(t, g)  n = Add(m, o)  y = MatMul(n, v)
  z = MatMul(n, u) })",
                1, 4);
}

TEST_CASE("classes with another reader, writer or owner stay as they are") {
  const std::string body = "> { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v) }";
  // r is an output, too.
  check_scaling(
      "agraph (float[1,3,6,6] x) => (float[1,2,6,6] y, float[1,4,6,6] r)\n<" + kPair + body, 0, 0);
  // A residual branch that comes from the input.
  check_scaling("agraph (float[1,3,6,6] x, float[1,4,6,6] s) => (float[1,2,6,6] y)\n<" + kPair +
                    "> { c = Conv(x, w, b)  a = Add(c, s)  y = Conv(a, v) }",
                0, 0);
  check_scaling(kX + kPair + "> { c = Conv(x, w, b)  r = Sigmoid(c)  y = Conv(r, v) }", 0, 0);
  check_scaling(kX + kPair + R"(, float lo = {-1}, float hi = {1}>
{ c = Conv(x, w, b)  r = Clip(c, lo, hi)  y = Conv(r, v) })",
                0, 0);
  // The consumer's weight belongs to two nodes.
  check_scaling(
      "agraph (float[1,3,6,6] x, float[1,4,6,6] s) => (float[1,2,6,6] y, float[1,2,6,6] z)\n<" +
          kPair + "> { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v)  z = Conv(s, v) }",
      0, 0);
  // Axis 1 for the Conv, the last one for the MatMul.
  check_scaling("agraph (float[1,3,4,4] x) => (float[1,4,4,2] y)\n<" +
                    constant("float[4,3,1,1]", "w", 12, 1) + ", " +
                    constant("float[4,2]", "v", 8, 3) +
                    "> { c = Conv(x, w)  r = Relu(c)  y = MatMul(r, v) }",
                0, 0);
}

TEST_CASE("a constant that is no node's parameter keeps the class it is added to") {
  const std::string side = ", " + constant("float[1,4,6,6]", "k", 144, 7);
  check_scaling(kX + kPair + side + R"(> { c = Conv(x, w, b)  u = Relu(k)  a = Add(c, u)
  y = Conv(a, v) })",
                0, 0);
  check_scaling(kX + kPair + ", " + constant("float[1,4,3,3]", "k", 36, 7) +
                    R"(, float[4] s = {1, 1, 2, 2}> { c = Conv(x, w, b)
  u = Resize<mode = "nearest">(k, , s)  a = Add(c, u)  y = Conv(a, v) })",
                0, 0);
  // A Conv reads it, too.
  check_scaling("agraph (float[1,3,6,6] x) => (float[1,2,6,6] y, float[1,2,6,6] z)\n<" + kPair +
                    side + ", " + constant("float[2,4,1,1]", "t", 8, 9) +
                    R"(> { c = Conv(x, w, b)  u = Relu(k)  a = Add(c, u)  y = Conv(a, v)
  z = Conv(k, t) })",
                0, 0);
}

TEST_CASE("values that a Resize takes its scales from keep theirs") {
  const std::string head = "agraph (float[3] x, float[1,1,6,6] i) => (float[2] y, ";
  const std::string weights = "<" + constant("float[3,4]", "w", 12, 1) + ", " +
                              constant("float[4,2]", "v", 8, 3) + "> { c = MatMul(x, w)  ";
  const auto found = [&](const std::string& rest) {
    return find_scale_classes(network(head + rest)).size();
  };
  CHECK(found("float[1,1,6,6] z)\n" + weights + "y = MatMul(c, v)  z = Relu(i) }") == 1);
  CHECK(found("float[N,C,H,W] z)\n" + weights + "y = MatMul(c, v)  z = Resize(i, , c) }") == 0);
}

TEST_CASE("a bias that others read, too, is left to them") {
  const Graph after =
      check_scaling("agraph (float[1,3,6,6] x) => (float[1,2,6,6] y, float[4] z)\n<" + kPair +
                        "> { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v)  z = Neg(b) }",
                    1, 2);
  CHECK(after.find_value("b").valid());
}

TEST_CASE(
    "the plan lowers the noise of spread depthwise weights with one scale, and is done then") {
  IntegerRules rules = usual_rules();
  rules.weight_per_channel = false;
  const Graph before = network(spread_thousandfold());
  const EqualizationPlan plan = plan_for(before, rules);
  REQUIRE(plan.classes.size() == 2);
  CHECK(plan.noise_after < 0.2 * plan.noise_before);
  for (const ClassScales& scaled : plan.classes) CHECK(scaled.noise_after < scaled.noise_before);
  Graph after = before;
  CHECK(equalize_channels(after, plan) == 3);
  CHECK(difference(before, after) < 1e-5);
  CHECK(plan_for(after, rules).classes.empty());

  const auto sqnr = [&](const Graph& graph) {
    Graph quantized = graph;
    PrecisionPlan integers = select_nodes(quantized, rules);
    const Statistics statistics =
        calibrate(Interpreter(quantized), calibration_targets(quantized, integers),
                  normal_data(quantized, 16), {});
    integers = plan_precision(quantized, rules, integers, statistics, Observer::kMinMax);
    insert_qdq(quantized, integers);
    return test::sqnr_between(before, quantized);
  };
  CHECK(sqnr(after) > sqnr(before) + 6);
}

TEST_CASE(
    "a channel that reaches the bound of its Clip keeps its scale, the others stay below it") {
  // Biases put channel 0 far above the bound of 6 and leave the others below.
  const std::string body = kX + "float[4,3,1,1] w = " + values_text(12, 1, 0.01f, 0.1f) +
                           ", float[4] b = {20, 0.5, 0.1, 0.01}, float lo = {0}, float hi = {6}, " +
                           constant("float[2,4,1,1]", "v", 8, 3) +
                           "> { c = Conv(x, w, b)  r = Clip(c, lo, hi)  y = Conv(r, v) }";
  const Graph before = network(body);
  const EqualizationPlan plan = plan_for(before, usual_rules());
  REQUIRE(plan.classes.size() == 1);
  const std::vector<double>& factors = plan.classes[0].factors;
  CHECK(factors[0] == 1);
  const ChannelStatistics held = channels_of(before).channels.at("c");
  for (size_t c = 1; c < 4; ++c) {
    CHECK(factors[c] > 1);
    CHECK(factors[c] * held.max[c] <= 6 / 1.049);
  }
  Graph after = before;
  CHECK(equalize_channels(after, plan) == 2);
  CHECK(difference(before, after) < 1e-5);
  CHECK(plan_for(after, usual_rules()).classes.empty());
}

TEST_CASE("scales come back from what was saved of them, and only into the same model") {
  const Graph before = network(spread_thousandfold());
  IntegerRules rules = usual_rules();
  rules.weight_per_channel = false;
  const EqualizationPlan plan = plan_for(before, rules);
  const auto saved = scales_of(before, plan);
  Graph planned = before;
  equalize_channels(planned, plan);
  Graph replayed = before;
  equalize_channels(replayed, plan_from_scales(before, saved));
  CHECK(text_form(planned) == text_form(replayed));
  CHECK_THROWS_AS(plan_from_scales(network(kX + kPair + "> { y = Conv(x, v) }"), saved), Error);
}

TEST_CASE("weights that are not finite, statistics that are not there: nothing is scaled") {
  const Graph graph = network(kX + kPair + "> { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v) }");
  const PrecisionPlan selection = select_nodes(graph, usual_rules());
  CHECK(plan_equalization(graph, selection, usual_rules(), {}).found == 0);
  Statistics statistics = channels_of(graph);
  statistics.channels.at("r").min.pop_back();
  CHECK(plan_equalization(graph, selection, usual_rules(), statistics).found == 0);
  Graph broken = graph;
  broken.set_constant(broken.find_value("v"),
                      Tensor::of<float>({2, 4, 1, 1}, std::vector<float>(8, NAN)));
  CHECK(plan_equalization(broken, selection, usual_rules(), channels_of(graph)).found == 0);
}

}  // namespace lathe
