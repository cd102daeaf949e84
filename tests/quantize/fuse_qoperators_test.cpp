// QuantizeLinear and DequantizeLinear around float ops as single integer ops.
#include "quantize/apply/fuse_qoperators.h"
#include "passes/passes.h"

#include "ir/verify.h"
#include "pass_check.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::count_of;
using test::quantize_case;
using test::QuantizeCase;
using test::values_text;

namespace {

struct Fused {
  QuantizeCase made;
  Graph after;
  int changes = 0;
};

Fused fused(const std::string& body, const IntegerRules& rules = test::usual_rules()) {
  Fused result;
  result.made = quantize_case(body, rules);
  result.after = result.made.after;
  result.changes = fuse_qoperators(result.after);
  eliminate_dead_nodes(result.after);
  verify(result.after, "fuse_qoperators");
  Graph again = result.after;
  CHECK(fuse_qoperators(again) == 0);
  return result;
}

// The integer ops round once where Q/DQ round where they do: a step apart at most.
double agreement(const Fused& f) { return test::sqnr_between(f.made.after, f.after); }

const std::string kConv =
    "<float[4,3,3,3] w = " + values_text(108, 1, -1, 1) +
    ", float[4] b = {0.5, -1, 2, 0}, float[4,4,1,1] v = " + values_text(16, 2, -1, 1) + ">";

}  // namespace

TEST_CASE("Conv with a Relu that the range makes idle becomes QLinearConv") {
  const Fused f = fused("agraph (float[1,3,8,8] x) => (float[1,4,6,6] y) " + kConv +
                        " { c = Conv(x, w, b)  r = Relu(c)  y = Conv(r, v) }");
  CHECK(f.changes == 2);
  CHECK(count_of(f.after, OpKind::kQLinearConv) == 2);
  CHECK(count_of(f.after, OpKind::kRelu) == 0);
  CHECK(count_of(f.after, OpKind::kDequantizeLinear) == 1);
  CHECK(agreement(f) > 40);
  CHECK(test::sqnr_between(f.made.before, f.after) > 20);
}

TEST_CASE("a Relu that does something keeps its node as it is") {
  Graph graph = test::graph_of(
      "<ir_version: 8, opset_import: [\"\" : 17]> agraph (uint8[1,1,2,2] x) => (uint8[1,1,2,2] y) "
      "<float s = {0.1}, uint8 z = {7}, int8[1,1,1,1] w = {3}, int8 o = {0}, uint8 n = {0}> {"
      " d = DequantizeLinear(x, s, z)  v = DequantizeLinear(w, s, o)  c = Conv(d, v)"
      " r = Relu(c)  y = QuantizeLinear(r, s, z) }");
  Graph kept = graph;
  CHECK(fuse_qoperators(kept) == 0);
  graph.replace_input(graph.value(graph.find_value("y")).producer, 2, graph.find_value("n"));
  CHECK(fuse_qoperators(graph) == 1);
  CHECK(count_of(graph, OpKind::kRelu) == 0);
}

TEST_CASE("Gemm and MatMul: integers out where integers are read, else float") {
  const Fused gemm =
      fused("agraph (float[2,8] x) => (float[2,3] y) <float[4,8] w = " + values_text(32, 3, -1, 1) +
            ", float[4] b = {1,2,-3,4}, float[4,3] v = " + values_text(12, 4, -1, 1) +
            "> { g = Gemm<transB = 1>(x, w, b)  r = Relu(g)  y = MatMul(r, v) }");
  CHECK(count_of(gemm.after, OpKind::kQGemm) == 1);
  CHECK(count_of(gemm.after, OpKind::kMatMulIntegerToFloat) == 1);
  CHECK(count_of(gemm.after, OpKind::kDequantizeLinear) == 0);
  CHECK(agreement(gemm) > 35);

  // A row that is added is the product's own input.
  const Fused row =
      fused("agraph (float[1,2,8] x) => (float[1,2,3] y) <float[8,3] w = " +
            values_text(24, 3, -1, 1) +
            ", float[3] b = {1,-2,3}> { m = MatMul(x, w)  y = Add(b, m) }");
  CHECK(count_of(row.after, OpKind::kMatMulIntegerToFloat) == 1);
  CHECK(count_of(row.after, OpKind::kAdd) == 0);
  CHECK(count_of(row.after, OpKind::kDequantizeLinear) == 0);
  CHECK(agreement(row) > 35);

  const Fused chain = fused(
      "agraph (float[2,8] x) => (float[2,3] y) <float[8,4] w = " + values_text(32, 3, -1, 1) +
      ", float[4,3] v = " + values_text(12, 4, -1, 1) + "> { m = MatMul(x, w)  y = MatMul(m, v) }");
  CHECK(count_of(chain.after, OpKind::kQLinearMatMul) == 1);
  CHECK(agreement(chain) > 35);

  const Fused float_gemm =
      fused("agraph (float[2,8] x) => (float[2,4] y) <float[8,4] w = " + values_text(32, 3, -1, 1) +
            ", float[4] b = {1,2,-3,4}> { y = Gemm(x, w, b) }");
  CHECK(count_of(float_gemm.after, OpKind::kQGemm) == 1);
  CHECK(agreement(float_gemm) > 60);
}

TEST_CASE("residual additions, products, joins, pools and moves") {
  IntegerRules rules = test::usual_rules();
  rules.ops.insert(OpKind::kSigmoid);
  rules.ops.insert(OpKind::kLeakyRelu);
  const Fused f = fused("agraph (float[1,3,8,8] x) => (float[1,4,1,1] y) " + kConv + R"( {
    c = Conv(x, w, b)  l = LeakyRelu<alpha = 0.2>(c)  s = Sigmoid(c)  m = Mul(l, s)
    a = Add(m, c)  n = MaxPool<kernel_shape = [2,2]>(a)
    p = AveragePool<kernel_shape = [2,2], strides = [2,2]>(n)  q = Concat<axis = 2>(p, p)
    e = Conv(q, v)  g = GlobalAveragePool(e)  y = Conv(g, v) })",
                        rules);
  for (const OpKind kind : {OpKind::kQLinearLeakyRelu, OpKind::kQLinearSigmoid, OpKind::kQLinearMul,
                            OpKind::kQLinearAdd, OpKind::kMaxPool, OpKind::kQLinearAveragePool,
                            OpKind::kQLinearConcat, OpKind::kQLinearGlobalAveragePool}) {
    CAPTURE(std::string(op_name(kind)));
    CHECK(count_of(f.after, kind) == 1);
  }
  CHECK(count_of(f.after, OpKind::kQLinearConv) == 3);
  CHECK(count_of(f.after, OpKind::kQuantizeLinear) == 1);
  CHECK(count_of(f.after, OpKind::kDequantizeLinear) == 1);
  CHECK(agreement(f) > 25);
}

TEST_CASE("what has no integer form stays between Q and DQ") {
  IntegerRules rules = test::usual_rules();
  rules.weight_dtype = DType::kInt4;
  const std::string two = "agraph (float[1,3,8,8] x) => (float[1,4,6,6] y) " + kConv +
                          " { c = Conv(x, w, b)  y = Conv(c, v) }";
  CHECK(fused(two, rules).changes == 0);
  rules = test::usual_rules();
  rules.activation_dtype = DType::kUInt16;
  CHECK(fused(two, rules).changes == 0);
  // A value that somebody reads as a float.
  Fused shared = fused("agraph (float[1,3,8,8] x) => (float[1,4,6,6] y, float[1,4,6,6] t) " +
                       kConv + " { c = Conv(x, w, b)  t = Tanh(c)  y = Conv(c, v) }");
  CHECK(count_of(shared.after, OpKind::kQLinearConv) == 2);
  CHECK(count_of(shared.after, OpKind::kTanh) == 1);
}

}  // namespace lathe
