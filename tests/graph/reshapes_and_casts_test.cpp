#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "pass_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::kHead;
using test::node_list;

namespace {

std::vector<int64_t> shape_of(const Graph& graph, const char* output) {
  const NodeId id = graph.value(graph.find_value(output)).producer;
  return graph.constant(graph.node(id).input(1))->to_int64();
}

}  // namespace

TEST_CASE("fuse_consecutive_reshapes: a static chain becomes one Reshape") {
  const Graph after = check_pass(kHead + R"((float[2,3,4] x) => (float[6,4] y)
<int64[1] zero = {0}, int64[2] s = {6, 4}>
{ u = Unsqueeze(x, zero)  f = Flatten<axis = 2>(u)  q = Unsqueeze(f, zero)  r = Reshape(q, s)
  y = Relu(r) })",
                                 fuse_consecutive_reshapes, 3);
  CHECK(node_list(after) == "r = Reshape(x, r_shape); y = Relu(r)");
  CHECK(shape_of(after, "r") == std::vector<int64_t>{6, 4});
}

TEST_CASE("fuse_consecutive_reshapes: one open dimension is -1, an equal one beside it 0") {
  const Graph one = check_pass(kHead + R"((float[N,3,4] x) => (float[M,12] y)
<int64[1] zero = {0}>
{ u = Unsqueeze(x, zero)  q = Squeeze(u, zero)  f = Flatten(q)  y = Relu(f) })",
                               fuse_consecutive_reshapes, 2);
  CHECK(shape_of(one, "f") == std::vector<int64_t>{-1, 12});
  const Graph two = check_pass(kHead + R"((float[N,T,4] x) => (float[N,1,T,4] y)
<int64[1] a = {1}, int64[1] b = {2}, int64[1] c = {1}>
{ u = Unsqueeze(x, a)  v = Unsqueeze(u, b)  q = Squeeze(v, c)  y = Relu(q) })",
                               fuse_consecutive_reshapes, 2);
  CHECK(shape_of(two, "q") == std::vector<int64_t>{0, 1, -1, 4});
}

TEST_CASE("fuse_consecutive_reshapes: a graph output's declared size is not believed") {
  const Graph after = check_pass(kHead + R"((float[2,6] x) => (float[3,4] y)
<int64[3] a = {2, 2, 3}, int64[2] b = {3, -1}>
{ u = Reshape(x, a)  y = Reshape(u, b) })",
                                 fuse_consecutive_reshapes, 1);
  CHECK(shape_of(after, "y") == std::vector<int64_t>{3, -1});
  check_pass(kHead + R"((float[N,6] x) => (float[2,6] y)
<int64[3] a = {-1, 2, 3}> { u = Reshape(x, a)  y = Flatten(u) })",
             fuse_consecutive_reshapes, 0);
}

TEST_CASE("fuse_consecutive_reshapes: near misses stay") {
  SUBCASE("the value between is read twice") {
    check_pass(kHead + R"((float[2,6] x) => (float[12] y, float[3,4] z)
<int64[2] a = {3, 4}, int64[1] b = {12}>
{ u = Reshape(x, a)  y = Reshape(u, b)  z = Relu(u) })",
               fuse_consecutive_reshapes, 0);
  }
  SUBCASE("two open dimensions that are not in place") {
    check_pass(kHead + R"((float[N,T,4] x) => (float[1,N,T,4] y)
<int64[1] zero = {0}>
{ u = Unsqueeze(x, zero)  v = Unsqueeze(u, zero)  q = Squeeze(v, zero)  y = Relu(q) })",
               fuse_consecutive_reshapes, 1);
  }
  SUBCASE("a Transpose between") {
    check_pass(kHead + R"((float[2,6] x) => (float[12] y)
<int64[2] a = {3, 4}, int64[1] b = {12}>
{ u = Reshape(x, a)  t = Transpose(u)  y = Reshape(t, b) })",
               fuse_consecutive_reshapes, 0);
  }
}

TEST_CASE("eliminate_redundant_casts: there and back again") {
  const Graph after = check_pass(kHead + R"((float[2] x) => (float[2] y)
{ a = Cast<to = 11>(x)  b = Cast<to = 1>(a)  y = Relu(b) })",
                                 eliminate_redundant_casts, 1);
  CHECK(node_list(after) == "y = Relu(x)");
}

TEST_CASE("eliminate_redundant_casts: the lossless first of two goes") {
  const Graph after = check_pass(kHead + R"((float16[2] x) => (int32[2] y)
{ a = Cast<to = 1>(x)  b = Cast<to = 11>(a)  y = Cast<to = 6>(b) })",
                                 eliminate_redundant_casts, 2);
  CHECK(node_list(after) == "y = Cast(x)");
}

TEST_CASE("eliminate_redundant_casts: what rounds stays") {
  check_pass(kHead + R"((float[2] x) => (float[2] y)
{ a = Cast<to = 10>(x)  b = Cast<to = 1>(a)  y = Relu(b) })",
             eliminate_redundant_casts, 0);
  check_pass(kHead + R"((float[2] x) => (float[2] y)
{ a = Cast<to = 7>(x)  b = Cast<to = 1>(a)  y = Relu(b) })",
             eliminate_redundant_casts, 0);
  // int64 needs 63 bits, float64 has 53.
  check_pass(kHead + R"((int64[2] x) => (int64[2] y)
{ a = Cast<to = 11>(x)  b = Cast<to = 7>(a)  y = Abs(b) })",
             eliminate_redundant_casts, 0);
}

TEST_CASE("cancel_quantize_dequantize: equal parameters cancel behind the first") {
  const std::string text = kHead + R"((float[2,2] x) => (float[2,2] y)
<float s = {0.1}, uint8 z = {7}, float s2 = {0.1}, uint8 z2 = {7}, float other = {0.2}>
{ q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  r = QuantizeLinear(d, s2, z2)
  y = DequantizeLinear(r, s, z) })";
  const Graph after = check_pass(text, cancel_quantize_dequantize, 1, 0);
  CHECK(node_list(after) == "q = QuantizeLinear(x, s, z); y = DequantizeLinear(q, s, z)");
  std::string scaled = text;
  scaled.replace(scaled.find("d, s2, z2"), 9, "d, other, z2");
  check_pass(scaled, cancel_quantize_dequantize, 0);
}

TEST_CASE("cancel_quantize_dequantize: rounding stays, and so does another type or axis") {
  check_pass(kHead + R"((float[2,2] x) => (float[2,2] y)
<float s = {0.1}, uint8 z = {7}>
{ q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) })",
             cancel_quantize_dequantize, 0);
  check_pass(kHead + R"((float[2,2] x) => (float[2,2] y)
<float s = {0.1}, uint8 z = {0}, int8 i = {0}>
{ q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  r = QuantizeLinear(d, s, i)
  y = DequantizeLinear(r, s, i) })",
             cancel_quantize_dequantize, 0);
  check_pass(kHead + R"((float[2,2] x) => (float[2,2] y)
<float[2] s = {0.1, 0.3}, uint8[2] z = {7, 9}>
{ q = QuantizeLinear<axis = 0>(x, s, z)  d = DequantizeLinear<axis = 0>(q, s, z)
  r = QuantizeLinear<axis = 1>(d, s, z)  y = DequantizeLinear<axis = 1>(r, s, z) })",
             cancel_quantize_dequantize, 0);
}

}  // namespace lathe
