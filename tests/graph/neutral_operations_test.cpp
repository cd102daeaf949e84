#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "pass_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::kHead;
using test::node_list;

namespace {

Graph eliminated(const std::string& body, int changes) {
  return check_pass(kHead + R"((float[2,3] x) => (float[2,3] y)
<float zero = {0}, float one = {1}, float[3] zeros = {0, 0, 0}, float[1,3] ones = {1, 1, 1},
 int64[2] twice = {1, 1}, int64[1] start = {0}, int64[1] far = {1000}, int64[1] axis = {1}>
{ a = Exp(x)  )" + body +
                        "  y = Relu(b) }",
                    eliminate_neutral_operations, changes);
}

}  // namespace

TEST_CASE("eliminate_neutral_operations: a constant that changes nothing") {
  const char* bodies[] = {"b = Add(a, zeros)", "b = Add(zero, a)", "b = Sub(a, zero)",
                          "b = Mul(a, ones)",  "b = Mul(one, a)",  "b = Div(a, one)",
                          "b = Pow(a, one)"};
  for (const char* body : bodies) {
    CAPTURE(body);
    CHECK(node_list(eliminated(body, 1)) == "a = Exp(x); y = Relu(a)");
  }
}

TEST_CASE("eliminate_neutral_operations: nothing is repeated, sliced, tiled or bounded") {
  const char* bodies[] = {"b = Tile(a, twice)", "b = Slice(a, start, far, axis)", "b = Clip(a)"};
  for (const char* body : bodies) {
    CAPTURE(body);
    CHECK(node_list(eliminated(body, 1)) == "a = Exp(x); y = Relu(a)");
  }
  CHECK(node_list(eliminated("c = Neg(a)  b = Neg(c)", 1)) ==
        "a = Exp(x); c = Neg(a); y = Relu(a)");
  CHECK(node_list(eliminated("c = Floor(a)  b = Ceil(c)", 1)) ==
        "a = Exp(x); c = Floor(a); y = Relu(c)");
  CHECK(node_list(eliminated("c = Abs(a)  b = Abs(c)", 1)) ==
        "a = Exp(x); c = Abs(a); y = Relu(c)");
}

TEST_CASE("eliminate_neutral_operations: axes of size 1, a graph output keeps its name") {
  const Graph after = check_pass(kHead + R"((float[2,1,3] x) => (float[2,1,3] y)
{ a = Exp(x)  y = ReduceMean<axes = [1]>(a) })",
                                 eliminate_neutral_operations, 1);
  CHECK(node_list(after) == "y = Exp(x)");
}

TEST_CASE("eliminate_neutral_operations: a slice that no memory holds more than") {
  // Another 1e9 rows of 131072 floats are 2^48 bytes.
  Graph graph = test::graph_of(kHead + R"((float[N,512,256] x) => (float[M,512,256] y)
<int64[1] start = {0}, int64[1] end = {1000000000}, int64[1] axis = {0}>
{ a = Exp(x)  b = Slice(a, start, end, axis)  y = Relu(b) })");
  CHECK(eliminate_neutral_operations(graph) == 1);
  Graph small = test::graph_of(kHead + R"((float[N,2] x) => (float[M,2] y)
<int64[1] start = {0}, int64[1] end = {1000000000}, int64[1] axis = {0}>
{ a = Exp(x)  b = Slice(a, start, end, axis)  y = Relu(b) })");
  CHECK(eliminate_neutral_operations(small) == 0);
}

TEST_CASE("eliminate_neutral_operations: near misses stay") {
  const char* bodies[] = {"b = Sub(zero, a)", "b = Div(one, a)", "b = Pow(one, a)",
                          "b = Mul(a, zero)", "b = Add(a, one)", "c = Neg(a)  b = Abs(c)"};
  for (const char* body : bodies) {
    CAPTURE(body);
    eliminated(body, 0);
  }
  SUBCASE("the constant widens") {
    check_pass(kHead + R"((float[1,3] x) => (float[2,3] y)
<float[2,1] zeros = {0, 0}> { a = Exp(x)  y = Add(a, zeros) })",
               eliminate_neutral_operations, 0);
  }
  SUBCASE("the constant might widen") {
    check_pass(kHead + R"((float[N,3] x) => (float[2,3] y)
<float[2,1] zeros = {0, 0}> { a = Exp(x)  y = Add(a, zeros) })",
               eliminate_neutral_operations, 0);
  }
  SUBCASE("the axis goes") {
    check_pass(kHead + R"((float[2,1,3] x) => (float[2,3] y)
{ y = ReduceMean<axes = [1], keepdims = 0>(x) })",
               eliminate_neutral_operations, 0);
  }
}

TEST_CASE("drop_zero_states: zeros are the default") {
  const Graph after = check_pass(kHead + R"((float[4,N,2] x) => (float[4,1,N,3] y, float[1,N,3] z)
<float[1,12,2] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2,
                    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2},
 float[1,12,3] r = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2,
                    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2,
                    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2},
 float zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3}>
{ s = Shape(x)  n = Slice(s, one, two)  t = Concat<axis = 0>(one, n, three)  h = Expand(zero, t)
  y, z = LSTM<hidden_size = 3>(x, w, r, , , h, h) })",
                                 drop_zero_states, 1);
  CHECK(node_list(after).find("y, z = LSTM(x, w, r)") != std::string::npos);
}

TEST_CASE("drop_zero_states: other states stay") {
  check_pass(kHead + R"((float[4,1,2] x, float[1,1,1] i) => (float[4,1,1,1] y, float[4,1,1,1] z)
<float[1,1,2] w = {0.1, 0.2}, float[1,1,1] r = {0.1}, float[1,1,1] h = {0.5}>
{ y = RNN<hidden_size = 1>(x, w, r, , , h)  z = RNN<hidden_size = 1>(x, w, r, , , i) })",
             drop_zero_states, 0);
}

}  // namespace lathe
