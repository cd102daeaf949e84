#include "graph/simplify.h"
#include "pass_check.h"
#include "passes/passes.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::graph_of;

TEST_CASE("fuse_channel_affine: Mul, Add, Sub and Div by channel constants") {
  const std::string head = R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,3,3] x) => (float[1,2,3,3] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, float[2] b = {1, -1}, float[2,1,1] k = {2, -4}, float s = {3}>
{ c = Conv(x, w, b)  )";
  check_pass(head + "y = Mul(c, k) }", fuse_channel_affine, 1);
  check_pass(head + "y = Mul(k, c) }", fuse_channel_affine, 1);
  check_pass(head + "y = Add(c, k) }", fuse_channel_affine, 1);
  check_pass(head + "y = Sub(c, k) }", fuse_channel_affine, 1);
  check_pass(head + "y = Sub(k, c) }", fuse_channel_affine, 1);
  check_pass(head + "y = Div(c, k) }", fuse_channel_affine, 1);
  check_pass(head + "y = Mul(c, s) }", fuse_channel_affine, 1);
  check_pass(head + "y = Div(k, c) }", fuse_channel_affine, 0);
}

TEST_CASE("fuse_channel_affine: a constant along another axis stays") {
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,3,2] x) => (float[1,2,3,2] y)
<float[2,2,1,1] w = {1, 2, 3, 4}, float[2] k = {2, -4}>
{ c = Conv(x, w)  y = Mul(c, k) })",
             fuse_channel_affine, 0);
}

TEST_CASE("fuse_pad: zeros around the image become pads of the convolution") {
  const std::string text = R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,1,4,4] x) => (float[1,1,5,6] y)
<int64[8] pads = {0, 0, 1, 1, 0, 0, 2, 3}, float[1,1,3,3] w = {1,2,3,4,5,6,7,8,9}>
{ p = Pad(x, pads)  y = Conv(p, w) })";
  check_pass(text, fuse_pad, 1);
  std::string valued = text;
  valued.replace(valued.find("Pad(x, pads)"), 12, "Pad(x, pads, one)");
  valued.replace(valued.find("<int64[8]"), 1, "<float one = {1}, ");
  check_pass(valued, fuse_pad, 0);
}

TEST_CASE("fold_constants: shapes and arithmetic on constants") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2,3] x) => (float[6] y)
<int64[1] axis = {0}, int64[1] minus = {-1}>
{ s = Shape(x)  n = ReduceProd(s)  f = Reshape(n, minus)  y = Reshape(x, f) })",
                                 [](Graph& graph) { return fold_constants(graph); }, 3);
  CHECK(count_of(after, OpKind::kShape) == 0);
  CHECK(after.node_count() == 1);
}

TEST_CASE("fold_constants: leaves what would grow, what is random, and dequantized weights") {
  Graph huge = graph_of(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1] x) => (float[1] y)
<int64[1] huge = {1099511627776}, int64[1] zero = {0}>
{ big = ConstantOfShape(huge)  one = Gather(big, zero)  y = Add(x, one) })");
  CHECK(fold_constants(huge) == 0);
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2] x) => (float[1,2] y)
<int8[2,2] q = {1, 2, 3, 4}, float s = {0.5}, int8 z = {0}>
{ w = DequantizeLinear(q, s, z)  y = MatMul(x, w) })",
             [](Graph& graph) { return fold_constants(graph); }, 0);
}

TEST_CASE("fold_constants: forty doublings stop at the growth cap") {
  std::string body = "c0 = Concat<axis = 0>(k, k) ";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "c" + std::to_string(i - 1);
    body += "c" + std::to_string(i) + " = Concat<axis = 0>(" + before + ", " + before + ") ";
  }
  Graph graph = graph_of(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1] x) => (float[1] y) <float[1] k = {1}, int64[1] zero = {0}> { )" +
                         body + "t = Gather(c39, zero)  y = Add(x, t) }");
  fold_constants(graph);
  int64_t bytes = 0;
  for (const ValueId id : graph.value_ids())
    if (const Tensor* tensor = graph.constant(id))
      bytes += static_cast<int64_t>(tensor->bytes().size());
  CHECK(bytes < (int64_t{8} << 20));
}

TEST_CASE("eliminate_identities: chains vanish, graph outputs keep their names") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2,3] x) => (float[2,3] y)
{ a = Relu(x)  b = Identity(a)  c = Dropout(b)  d = Cast<to = 1>(c)  e = Transpose<perm = [0, 1]>(d)
  y = Identity(e) })",
                                 eliminate_identities, 5);
  CHECK(after.node_count() == 1);
}

TEST_CASE("eliminate_identities: an identity from input to output stays") {
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2] x) => (float[2] y) { y = Identity(x) })",
             eliminate_identities, 0);
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2] x) => (float[2] y, float[2] z) { y = Relu(x)  z = Identity(y) })",
             eliminate_identities, 0);
}

TEST_CASE("eliminate_dead_nodes: what nobody reads goes, inputs stay") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2] x, float[2] unused) => (float[2] y) <float[2] k = {1, 2}, float[2] k2 = {3, 4}>
{ a = Relu(x)  b = Exp(a)  c = Add(b, k)  y = Abs(x) })",
                                 eliminate_dead_nodes, 5);
  CHECK(after.inputs().size() == 2);
}

TEST_CASE("deduplicate_constants: each weight keeps its own zero point") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (int8[2,2] x) => (float[2,2] y)
<int8[2,2] a = {1, 2, 3, 4}, int8[2,2] b = {4, 3, 2, 1}, float s = {0.5}, float t = {0.5},
 int8 zero_a = {0}, int8 zero_b = {0}, int8 zero_x = {0}>
{ da = DequantizeLinear(a, s, zero_a)  db = DequantizeLinear(b, t, zero_b)
  dx = DequantizeLinear(x, t, zero_x)  m = MatMul(da, db)  y = Add(m, dx) })",
                                 deduplicate_constants, 1);
  CHECK(after.find_value("zero_b").valid());
  CHECK_FALSE(after.find_value("t").valid());
}

TEST_CASE("deduplicate_constants: equal bytes, equal shape, equal type") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2] x) => (float[2] y)
<float[2] a = {1, 2}, float[2] b = {1, 2}, float[1,2] c = {1, 2}, float[2] d = {1, 3}>
{ p = Add(x, a)  q = Add(p, b)  r = Add(q, d)  f = Add(r, c)  s = Squeeze(f)  y = Relu(s) })",
                                 deduplicate_constants, 1);
  CHECK(after.find_value("b").valid() == false);
}

TEST_CASE("widen_float16: inside in float32, the border as it was") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float16[1,2] x) => (float16[1,2] y)
{ a = Relu(x)  y = Mul(a, a) })",
                                 widen_float16, 3, 2e-3);
  CHECK(count_of(after, OpKind::kCast) == 2);
}

// 1 when anything changed.
int simplified(Graph& graph) {
  Pipeline pipeline(graph);
  simplify(graph, pipeline);
  int changes = 0;
  for (const PipelineStep& step : pipeline.steps()) changes += step.changes;
  return changes == 0 ? 0 : 1;
}

TEST_CASE("simplify reaches a fixed point and is idempotent") {
  const std::string text = R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,4,4] x) => (float[1,3,4,4] y)
<float[3,2,1,1] w = {1.0, -2.0, 0.5, 3.0, -1.0, 0.25}, float[3] scale = {1.5, 0.5, -2.0},
 float[3] shift = {0.1, 0.2, 0.3}, float[3] mean = {0.5, -0.5, 1.0}, float[3] variance = {1.0, 4.0, 0.25},
 float[3,1,1] k = {1, 2, 3}>
{ i = Identity(x)  c = Conv(i, w)  n = BatchNormalization(c, scale, shift, mean, variance)
  m = Mul(n, k)  y = Relu(m) })";
  const Graph after = check_pass(
      text,
      simplified, 1);
  CHECK(after.node_count() == 2);
}

TEST_CASE("simplify writes an old Softmax of the last axis as one node once shapes are known") {
  const Graph after = check_pass(R"(<ir_version: 7, opset_import: ["" : 11]>
agraph (float[24] x) => (float[2,3,4] y)
<int64[1] two = {2}, int64[2] rest = {3, 4}>
{ target = Concat<axis = 0>(two, rest)  r = Reshape(x, target)
  s = Softmax<axis = 2>(r)  y = Relu(s) })",
                                 simplified, 1);
  CHECK(after.node_count() == 3);
  CHECK(count_of(after, OpKind::kSoftmax) == 1);
  CHECK(count_of(after, OpKind::kFlatten) == 0);
}

TEST_CASE("Pipeline skips passes by name and records every step") {
  Graph graph = graph_of(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2] x) => (float[2] y) { a = Identity(x)  y = Relu(a) })");
  Pipeline pipeline(graph, {.disabled = {"eliminate_identities"}});
  simplify(graph, pipeline);
  CHECK(graph.node_count() == 2);
  REQUIRE(!pipeline.steps().empty());
  CHECK(pipeline.steps()[0].skipped);
}

}  // namespace lathe
