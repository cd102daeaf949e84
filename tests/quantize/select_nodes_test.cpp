#include "pass_check.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::planned;
using test::planned_values;
using test::reason_for;
using test::usual_rules;

namespace {

struct Selected {
  Graph graph;
  PrecisionPlan plan;
  std::string nodes() const { return planned(graph, plan); }
  std::string values() const { return planned_values(graph, plan); }
};

Selected select(const std::string& body, const IntegerRules& rules = usual_rules()) {
  Selected selected{network(body), {}};
  selected.plan = select_nodes(selected.graph, rules);
  return selected;
}

const std::string kSelectHead = R"(agraph (float[1,2,4,4] x) => (float[1,2,4,4] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, float zero = {0}, float six = {6}, float[2,1,1] k = {1, 2}> { )";

}  // namespace

TEST_CASE("Conv with its Relu or Clip is one node: only the end gets parameters") {
  const Selected relu = select(kSelectHead + "c = Conv(x, w)  y = Relu(c) }");
  CHECK(relu.nodes() == "Conv");
  CHECK(relu.values() == "x y");
  const Selected clip = select(kSelectHead + "c = Conv(x, w)  y = Clip(c, zero, six) }");
  CHECK(clip.nodes() == "Conv");
  CHECK(clip.values() == "x y");
  CHECK(clip.plan.exceptions.empty());
}

TEST_CASE("a Relu that is not the only reader is a node of its own") {
  const Selected shared =
      select(kSelectHead + "c = Conv(x, w)  r = Relu(c)  s = Add(c, r)  y = Conv(s, w) }");
  CHECK(shared.nodes() == "Conv Relu Add Conv");
  CHECK(shared.values() == "c r s x y");
}

TEST_CASE("a residual Add follows, an Add with a constant does not") {
  const Selected residual = select(kSelectHead + "c = Conv(x, w)  s = Add(c, x)  y = Conv(s, w) }");
  CHECK(residual.nodes() == "Conv Add Conv");
  CHECK(residual.values() == "c s x y");
  const Selected constant = select(kSelectHead + "c = Conv(x, w)  s = Add(c, k)  y = Conv(s, w) }");
  CHECK(constant.nodes() == "Conv Conv");
  CHECK(constant.values() == "c s x y");
  // Nor does one that no integer node reads: it would only cost precision.
  const Selected last = select(kSelectHead + "c = Conv(x, w)  y = Add(c, x) }");
  CHECK(last.nodes() == "Conv");
  CHECK(last.values() == "c x");
}

TEST_CASE("an Add of one integer and one float value stays float") {
  const Selected mixed =
      select(kSelectHead + "c = Conv(x, w)  s = Sin(c)  a = Add(c, s)  y = Conv(a, w) }");
  CHECK(mixed.nodes() == "Conv Conv");
}

TEST_CASE("Concat and pooling follow") {
  const Selected joined = select(R"(agraph (float[1,2,4,4] x) => (float[1,4,1,1] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, float[2,2,1,1] v = {1, 2, 3, 5},
 float[4,4,1,1] u = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}>
{ a = Conv(x, w)  b = Conv(x, v)  c = Concat<axis = 1>(a, b)  p = GlobalAveragePool(c)
  y = Conv(p, u) })");
  CHECK(joined.nodes() == "Conv Conv Concat GlobalAveragePool Conv");
  CHECK(joined.values() == "a b c p x y");
}

TEST_CASE("moves pass integers on when an integer node reads the result") {
  const std::string head = R"(agraph (float[1,2,4,4] x) => (float[1,3] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, float[8,3] g = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24},
 int64[2] shape = {1, 8}> { c = Conv(x, w)  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)
 r = Reshape(p, shape)  )";
  const Selected used = select(head + "y = Gemm(r, g) }");
  CHECK(used.nodes() == "Conv MaxPool Reshape Gemm");
  CHECK(used.values() == "c p r x");
  // Without an integer reader they stay float, both of them.
  std::string idle_text = head + "y = Sin(r) }";
  idle_text.replace(idle_text.find("float[1,3] y"), 12, "float[1,8] y");
  const Selected idle = select(idle_text);
  CHECK(idle.nodes() == "Conv");
  CHECK(idle.values() == "c x");
}

TEST_CASE("the indices of a MaxPool are no activation") {
  const Selected pool = select(R"(agraph (float[1,2,4,4] x) => (float[1,2,2,2] y, int64[1,2,2,2] i)
<float[2,2,1,1] w = {1, 2, 3, 4}>
{ c = Conv(x, w)  p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)  y = Conv(p, w) })");
  CHECK(pool.nodes() == "Conv MaxPool Conv");
  CHECK(pool.values() == "c p x y");
}

TEST_CASE("ops that the device does not compute in integers stay float") {
  const Selected attention = select(R"(agraph (float[2,4] x) => (float[2,4] y)
<float[4,4] w = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}, float[4] s = {1, 1, 1, 1}>
{ a = MatMul(x, w)  p = Softmax(a)  n = LayerNormalization(p, s)  y = MatMul(n, w) })");
  CHECK(attention.nodes() == "MatMul MatMul");
  CHECK(attention.values() == "n x");
  IntegerRules no_conv = usual_rules();
  no_conv.ops.erase(OpKind::kConv);
  const Selected none = select(kSelectHead + "c = Conv(x, w)  y = Relu(c) }", no_conv);
  CHECK(none.plan.nodes.empty());
  CHECK(none.plan.values.empty());
  CHECK(reason_for(none.plan, "Conv") == "the profile has no integer Conv");
}

TEST_CASE("a product of two activations needs parameters for both") {
  const Selected product = select(
      "agraph (float[2,3] a, float[3,2] b) => (float[2,2] y) { m = MatMul(a, b)  y = Exp(m) }");
  CHECK(product.nodes() == "MatMul");
  CHECK(product.values() == "a b");
}

TEST_CASE("the output of Gemm is float when only float nodes read it") {
  const std::string head = R"(agraph (float[1,2] x) => (float[1,2] y)
<float[2,2] w = {1, 2, 3, 4}> { g = Gemm(x, w)  )";
  CHECK(select(head + "y = Softmax(g) }").values() == "x");
  CHECK(select(head + "y = Gemm(g, w) }").values() == "g x");
  CHECK(select(head + "r = Relu(g)  y = Gemm(r, w) }").values() == "r x");
}

TEST_CASE("nodes are left out by name or kind, with the reason") {
  IntegerRules rules = usual_rules();
  rules.selected = [](const Node& node) {
    return node.outputs.size() == 1 && node.kind != OpKind::kAdd;
  };
  const Selected excluded = select(kSelectHead + "c = Conv(x, w)  y = Add(c, x) }", rules);
  CHECK(excluded.nodes() == "Conv");
  CHECK(reason_for(excluded.plan, "Add") == "excluded by name");
  rules.selected = [](const Node& node) { return node.kind != OpKind::kConv; };
  const Selected none = select(kSelectHead + "c = Conv(x, w)  y = Add(c, x) }", rules);
  CHECK(none.nodes().empty());
  CHECK(reason_for(none.plan, "Conv") == "excluded by name");
}

TEST_CASE("reasons of products and convolutions that cannot be integer") {
  CHECK(reason_for(select(R"(agraph (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}>
{ y = Gemm<alpha = 2.0>(x, w) })")
                       .plan,
                   "Gemm") == "alpha or beta is not 1");
  CHECK(reason_for(
            select(
                R"(agraph (float[1,2] x, float[2] b) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}>
{ y = Gemm(x, w, b) })")
                .plan,
            "Gemm") == "its bias is computed");
  CHECK(reason_for(select(R"(agraph (float[1,2,3,3] x, float[2,2,1,1] w) => (float[1,2,3,3] y)
{ y = Conv(x, w) })")
                       .plan,
                   "Conv") == "its weight is computed");
  CHECK(reason_for(select(R"(agraph (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, 3, 4}>
{ y = MatMul(w, x) })")
                       .plan,
                   "MatMul") == "its first input is a constant");
  CHECK(
      reason_for(select(R"(agraph (double[2,2] x) => (double[2,2] y) <double[2,2] w = {1, 2, 3, 4}>
{ y = MatMul(x, w) })")
                     .plan,
                 "MatMul") == "its input is not float32");
}

TEST_CASE("a bias of another type is left to whoever checks models") {
  const Selected odd = select(R"(agraph (float[1,2,3,3] x) => (float[1,2,3,3] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, double[2] b = {1, 2}> { y = Conv(x, w, b) })");
  CHECK(odd.nodes().empty());
  CHECK(reason_for(odd.plan, "Conv") == "its bias is not float32");
}

TEST_CASE("calibration asks for what has own parameters, and for means of constant products") {
  const Selected used = select(R"(agraph (float[1,2,4,4] x) => (float[1,2,2,2] y)
<float[2,2,1,1] w = {1, 2, 3, 4}>
{ c = Conv(x, w)  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)  y = Conv(p, w) })");
  const CalibrationTargets targets = calibration_targets(used.graph, used.plan);
  std::set<std::string> ranges;
  for (const ValueId id : targets.ranges) ranges.insert(used.graph.value(id).name);
  CHECK(ranges == std::set<std::string>{"c", "x", "y"});
  CHECK(targets.means.size() == 2);
  CHECK(targets.means.at(used.graph.find_value("p")) == 1);
}

TEST_CASE("an already integer graph: its convolutions stay as they are") {
  const test::QuantizeCase first =
      test::quantize_case(kSelectHead + "c = Conv(x, w)  y = Relu(c) }");
  const PrecisionPlan again = select_nodes(first.after, usual_rules());
  CHECK(again.nodes.empty());
  CHECK(again.values.empty());
  CHECK(reason_for(again, "Conv") == "its weight is computed");
  const test::QuantizeCase product = test::quantize_case(
      "agraph (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}> { m = MatMul(x, w)  y "
      "= Exp(m) }");
  const PrecisionPlan none = select_nodes(product.after, usual_rules());
  CHECK(none.nodes.empty());
  CHECK(reason_for(none, "MatMul") == "its weight is integer already");
}

}  // namespace lathe
