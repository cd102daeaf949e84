#include <set>
#include <string>

#include "pass_check.h"
#include "quantize_case.h"

#include "onnx/text_form.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::count_of;
using test::maker;
using test::only;
using test::quantize_case;
using test::QuantizeCase;
using test::sqnr_between;
using test::usual_rules;

namespace {

const std::string kInsertHead = R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] y)
<float[2,2,1,1] w = {1, -2, 0.5, 4}, float[2] b = {0.25, -0.5}, float zero = {0}, float six = {6}> { )";

ValueId producer_input(const Graph& graph, ValueId value) {
  return graph.node(graph.value(value).producer).inputs[0];
}

}  // namespace

TEST_CASE("Conv and Relu: Q and DQ around the pair, DQ on weight and bias") {
  const QuantizeCase result = quantize_case(kInsertHead + "c = Conv(x, w, b)  y = Relu(c) }");
  const Graph& graph = result.after;
  CHECK(count_of(graph, OpKind::kQuantizeLinear) == 2);
  CHECK(count_of(graph, OpKind::kDequantizeLinear) == 4);
  const Node& conv = only(graph, OpKind::kConv);
  for (const ValueId input : conv.inputs) CHECK(maker(graph, input) == "DequantizeLinear");
  CHECK(graph.value(producer_input(graph, conv.inputs[1])).constant->dtype() == DType::kInt8);
  CHECK(graph.value(producer_input(graph, conv.inputs[2])).constant->dtype() == DType::kInt32);
  CHECK(maker(graph, producer_input(graph, conv.inputs[0])) == "QuantizeLinear");
  // int32 has no zero but 0.
  CHECK(graph.node(graph.value(conv.inputs[2]).producer).inputs.size() == 2);
  // Nothing between Conv and Relu, and the Relu feeds one QuantizeLinear only.
  const Node& relu = only(graph, OpKind::kRelu);
  CHECK(maker(graph, relu.inputs[0]) == "Conv");
  CHECK(graph.value(relu.outputs[0]).users.size() == 1);
  CHECK(sqnr_between(result.before, graph) > 35);
}

TEST_CASE("a graph output keeps its name and comes out of DequantizeLinear") {
  for (const std::string body :
       {"y = Conv(x, w, b) }", "c = Conv(x, w, b)  y = Clip(c, zero, six) }",
        "y = Conv(x, w)  c = Conv(y, w) }"}) {
    const QuantizeCase result = quantize_case(kInsertHead + body);
    CAPTURE(body);
    REQUIRE(result.after.outputs().size() == 1);
    const ValueId y = result.after.outputs()[0];
    CHECK(result.after.value(y).name == "y");
    CHECK(maker(result.after, y) == "DequantizeLinear");
    CHECK(result.after.find_value("y") == y);
  }
}

TEST_CASE("a value with a float and an integer reader") {
  // c is made by an integer node: both read the dequantized value. x is not: Sin keeps the float.
  const QuantizeCase result = quantize_case(
      R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] s, float[1,2,4,4] t)
<float[2,2,1,1] w = {1, -2, 0.5, 4}> { c = Conv(x, w)  y = Conv(c, w)  s = Sin(c)  t = Cos(x) })");
  CHECK(maker(result.after, only(result.after, OpKind::kSin).inputs[0]) == "DequantizeLinear");
  CHECK(only(result.after, OpKind::kCos).inputs[0] == result.after.find_value("x"));
  CHECK(result.after.value(result.after.find_value("c")).users.size() == 1);
}

TEST_CASE("Gemm whose output is read by float nodes alone stays unquantized there") {
  const QuantizeCase result = quantize_case(R"(agraph (float[1,2] x) => (float[1,2] y)
<float[2,2] w = {1, 2, 3, 4}> { g = Gemm(x, w)  y = Softmax(g) })");
  CHECK(count_of(result.after, OpKind::kQuantizeLinear) == 1);
  CHECK(maker(result.after, only(result.after, OpKind::kSoftmax).inputs[0]) == "Gemm");
}

TEST_CASE("one input that is read twice is quantized once") {
  const QuantizeCase result =
      quantize_case("agraph (float[2,2] x) => (float[2,2] y) { m = MatMul(x, x)  y = Exp(m) }");
  CHECK(count_of(result.after, OpKind::kQuantizeLinear) == 1);
  const Node& product = only(result.after, OpKind::kMatMul);
  CHECK(product.inputs[0] == product.inputs[1]);
}

TEST_CASE("a weight that several layers read: no two nodes have one name") {
  const QuantizeCase result =
      quantize_case(kInsertHead + "c = Conv(x, w, b)  d = Relu(c)  y = Conv(d, w, b) }");
  std::set<std::string> names;
  for (const NodeId id : result.after.node_ids())
    CHECK(names.insert(result.after.node(id).name).second);
  CHECK(sqnr_between(result.before, result.after) > 30);
}

TEST_CASE("an output that is listed twice, and names that are taken") {
  const QuantizeCase result =
      quantize_case(R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] y_quantized)
<float[2,2,1,1] w = {1, -2, 0.5, 4}, float y_scale = {3}>
{ y = Conv(x, w)  y_quantized = Mul(y, y_scale) })");
  REQUIRE(result.after.outputs().size() == 2);
  CHECK(result.after.value(result.after.outputs()[0]).name == "y");
  CHECK(result.after.value(result.after.outputs()[1]).name == "y_quantized");
  CHECK(sqnr_between(result.before, result.after, 0) > 30);
  CHECK(sqnr_between(result.before, result.after, 1) > 30);
}

TEST_CASE("a value captured by a subgraph is read dequantized") {
  const QuantizeCase result = quantize_case(R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] y)
<float[2,2,1,1] w = {1, -2, 0.5, 4}, bool yes = {1}>
{ c = Conv(x, w)
  y = If (yes) <then_branch = t () => (float[1,2,4,4] p) { p = Neg(c) },
                else_branch = e () => (float[1,2,4,4] q) { q = Abs(c) }> })");
  CHECK(result.after.value(result.after.find_value("c")).users.size() == 1);
  CHECK(sqnr_between(result.before, result.after) > 30);
}

TEST_CASE("what an Add behind a MatMul adds to each channel is int32 in the product's steps") {
  const std::string head =
      "agraph (float[1,3,2] x) => (float[1,3,2] y) <float[2,2] w = {1,-2,3,4}, ";
  const QuantizeCase result =
      quantize_case(head + "float[1,1,2] b = {1, -4}> { m = MatMul(x, w)  y = Add(b, m) }");
  const Node& add = only(result.after, OpKind::kAdd);
  CHECK(maker(result.after, add.inputs[1]) == "MatMul");
  REQUIRE(maker(result.after, add.inputs[0]) == "DequantizeLinear");
  const Node& bias = result.after.node(result.after.value(add.inputs[0]).producer);
  const Tensor& steps = *result.after.constant(bias.inputs[0]);
  CHECK(steps.dtype() == DType::kInt32);
  CHECK(steps.shape() == Shape{2});
  const auto scales = result.after.constant(bias.inputs[1])->values<float>();
  CHECK(scales[0] * static_cast<float>(steps.values<int32_t>()[0]) ==
        doctest::Approx(1).epsilon(1e-3));
  CHECK(scales[1] * static_cast<float>(steps.values<int32_t>()[1]) ==
        doctest::Approx(-4).epsilon(1e-3));
  CHECK(sqnr_between(result.before, result.after) > 30);

  // Not where the sum has more dimensions, or others read the product, or numbers are too large.
  const auto stays_float = [&](const std::string& body) {
    const QuantizeCase other = quantize_case(body);
    const Node& sum = only(other.after, OpKind::kAdd);
    return maker(other.after, sum.inputs[1]) != "DequantizeLinear";
  };
  CHECK(stays_float("agraph (float[3,2] x) => (float[1,3,2] y) <float[2,2] w = {1,-2,3,4}, "
                    "float[1,1,2] b = {1, -4}> { m = MatMul(x, w)  y = Add(m, b) }"));
  CHECK(stays_float("agraph (float[3,2] x) => (float[3,2] y, float[3,2] m) <float[2,2] w = "
                    "{1,-2,3,4}, float[2] b = {1, -4}> { m = MatMul(x, w)  y = Add(m, b) }"));
  CHECK(stays_float(head + "float[2] b = {1e12, -4}> { m = MatMul(x, w)  y = Add(m, b) }"));
}

TEST_CASE("the result is the same text every time") {
  const std::string body =
      kInsertHead + "c = Conv(x, w, b)  r = Relu(c)  d = Conv(r, w, b)  y = Add(d, x) }";
  const std::string first = text_form(quantize_case(body, usual_rules(), true).after);
  for (int i = 0; i < 3; ++i)
    CHECK(text_form(quantize_case(body, usual_rules(), true).after) == first);
}

TEST_CASE("an excluded node keeps float inputs and weights") {
  IntegerRules rules = usual_rules();
  rules.selected = [](const Node& node) {
    return node.input(1).index < 0 || node.kind != OpKind::kGemm;
  };
  const QuantizeCase result = quantize_case(R"(agraph (float[1,2] x) => (float[1,2] y)
<float[2,2] w = {1, 2, 3, 4}, float[2,2] v = {1, 2, 3, 5}> { m = MatMul(x, w)  y = Gemm(m, v) })",
                                            rules);
  const Node& gemm = only(result.after, OpKind::kGemm);
  CHECK(maker(result.after, gemm.inputs[0]) == "MatMul");
  CHECK(result.after.value(gemm.inputs[1]).constant->dtype() == DType::kFloat32);
}

TEST_CASE("a small network keeps its outputs, and reduced precision costs decibels") {
  const auto weight = [](const std::string& declaration, int64_t count, uint64_t seed) {
    return declaration + " = " + test::values_text(count, seed, -0.7f, 0.7f) + ", ";
  };
  const Graph before = test::network(
      "agraph (float[2,3,8,8] x) => (float[2,10] y) <" + weight("float[8,3,3,3] w1", 216, 1) +
      weight("float[8] b1", 8, 2) + weight("float[8,1,3,3] w2", 72, 3) +
      weight("float[8,8,1,1] w3", 64, 4) + weight("float[8,10] g", 80, 5) +
      R"(float zero = {0}, float six = {6}>
{ c1 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w1, b1)  r1 = Relu(c1)
  c2 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 8>(r1, w2)  r2 = Clip(c2, zero, six)
  c3 = Conv(r2, w3)  s = Add(c3, r1)  p = GlobalAveragePool(s)  f = Flatten(p)  y = Gemm(f, g) })");
  const auto quantized = [&](const IntegerRules& rules) {
    Graph graph = before;
    PrecisionPlan plan = select_nodes(graph, rules);
    const Statistics statistics = calibrate(Interpreter(graph), calibration_targets(graph, plan),
                                            test::normal_data(graph, 16), {});
    plan = plan_precision(graph, rules, plan, statistics, Observer::kAuto);
    insert_qdq(graph, plan);
    return sqnr_between(before, graph);
  };
  const double usual = quantized(usual_rules());
  CHECK(usual > 25);
  CHECK(usual < 60);
  IntegerRules reduced = usual_rules();
  reduced.weight_reduce_range = true;
  CHECK(quantized(reduced) < usual);
  IntegerRules tensor = usual_rules();
  tensor.weight_per_channel = false;
  CHECK(quantized(tensor) > 18);
}

}  // namespace lathe
