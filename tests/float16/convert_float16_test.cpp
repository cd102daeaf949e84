#include "float16/convert_float16.h"

#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "pass_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::graph_of;
using test::kHead;
using test::node_list;

namespace {

int convert(Graph& graph) { return convert_float16(graph); }

DType type_of(const Graph& graph, const char* value) {
  return graph.value(graph.find_value(value)).type.dtype;
}

std::string reason_of(const std::string& body, const char* output) {
  const Graph graph = graph_of(kHead + body);
  const Float16Plan plan = plan_float16(graph);
  const auto it = plan.kept.find(graph.value(graph.find_value(output)).producer);
  return it != plan.kept.end() ? it->second : "";
}

}  // namespace

TEST_CASE("convert_float16: constants and arithmetic are float16, inputs and outputs float32") {
  const Graph after = check_pass(kHead + R"((float[N,2] x) => (float[N,2] y)
<float[2,2] w = {1, 2, 3, 0.1}, float[2] b = {1, -1}>
{ m = MatMul(x, w)  a = Add(m, b)  y = Relu(a) })",
                                 convert, 3, 2e-3);
  CHECK(node_list(after) ==
        "x_float16 = Cast(x); m = MatMul(x_float16, w); a = Add(m, b); y_float16 = Relu(a); "
        "y = Cast(y_float16)");
  CHECK(type_of(after, "w") == DType::kFloat16);
  CHECK(type_of(after, "a") == DType::kFloat16);
  CHECK(type_of(after, "x") == DType::kFloat32);
  CHECK(type_of(after, "y") == DType::kFloat32);
}

TEST_CASE("convert_float16: a constant that both sides read exists twice, a Cast once") {
  const Graph after = check_pass(kHead + R"((float[N,2] x) => (float[N,2] y, float[N,2] z)
<float[2] c = {1, 2}>
{ m = Add(x, c)  p = Mod<fmod = 1>(x, c)  y = Relu(m)  z = Mul(m, p)  })",
                                 convert, 3, 2e-3);
  CHECK(type_of(after, "c") == DType::kFloat32);
  CHECK(type_of(after, "c_float16") == DType::kFloat16);
  CHECK(count_of(after, OpKind::kCast) == 4);
}

TEST_CASE("convert_float16: what float16 cannot hold stays, and what reads it") {
  const std::string mask = R"((float[1,3] x, float[1,3] m) => (float[1,3] y)
<float big = {-1e9}, float one = {1}, float[3,3] v = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
{ s = Sub(one, m)  k = Mul(s, big)  w = MatMul(x, v)  a = Add(w, k)  p = Softmax(a)
  y = MatMul(p, v) })";
  CHECK(reason_of(mask, "k") == "a constant is beyond 65504");
  CHECK(reason_of(mask, "a") == "what it reads may be beyond 65504");
  CHECK(reason_of(mask, "p") == "what it reads may be beyond 65504");
  CHECK(reason_of(mask, "y").empty());
  CHECK(reason_of(mask, "w").empty());
  CHECK(reason_of(R"((float[1,3] x) => (float[1,3] y)
<float e = {1e-7}> { r = Relu(x)  a = Add(r, e)  s = Sqrt(a)  y = Relu(s) })",
                  "a") == "a constant is too small for float16");
}

TEST_CASE("convert_float16: measurements keep nodes, and may say that nothing else is too large") {
  const Graph graph = graph_of(kHead + R"((float[1,3] x, float[1,3] m) => (float[1,3] y)
<float big = {-1e9}, float[3,3] v = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
{ k = Mul(m, big)  w = MatMul(x, v)  a = Add(w, k)  y = MatMul(a, v) })");
  const auto maker = [&](const char* value) {
    return graph.value(graph.find_value(value)).producer;
  };
  const KeptNodes measured{{maker("w"), "has values up to 3.0e+04"}};
  const Float16Plan by_rule = plan_float16(graph, measured);
  CHECK(by_rule.kept.at(maker("w")) == "has values up to 3.0e+04");
  CHECK(by_rule.kept.at(maker("a")) == "what it reads may be beyond 65504");
  CHECK(is_converted(graph, by_rule, maker("y")) == false);
  const Float16Plan known = plan_float16(graph, measured, true);
  CHECK(known.kept.at(maker("k")) == "a constant is beyond 65504");
  CHECK(is_converted(graph, known, maker("a")));
  CHECK(is_converted(graph, known, maker("y")));
  Graph converted = graph;
  CHECK(convert_float16(converted, known) == 2);
  CHECK(type_of(converted, "w") == DType::kFloat32);
}

TEST_CASE("convert_float16: weights that lose bits are counted") {
  const Graph graph = graph_of(kHead + R"((float[N,4] x) => (float[N,1] y)
<float[4,1] w = {1, 1e-5, 1e-9, 0}> { y = MatMul(x, w) })");
  const Float16Plan plan = plan_float16(graph);
  CHECK(plan.weights == 4);
  CHECK(plan.subnormal == 2);
  CHECK(plan.zeroed == 1);
}

TEST_CASE("convert_float16: sizes, indices and integers stay as they are") {
  const std::string body = R"((float[1,2,4,4] x) => (float[1,2,M,K] y)
<float[4] scales = {1, 1, 2, 2}, float two = {2}>
{ r = Relu(x)  s = Shape(r)  f = Cast<to = 1>(s)  d = Div(f, two)  g = Floor(d)
  i = Cast<to = 7>(g)  e = Expand(r, i)  y = Resize(r, , scales) })";
  CHECK(reason_of(body, "d") == "computes sizes or indices");
  CHECK(reason_of(body, "g") == "computes sizes or indices");
  const Graph after = check_pass(kHead + R"((float[1,2,4,4] x) => (float[1,2,8,8] y)
<float[4] scales = {1, 1, 2, 2}> { r = Relu(x)  y = Resize<mode = "nearest">(r, , scales) })",
                                 convert, 2, 2e-3);
  CHECK(type_of(after, "scales") == DType::kFloat32);
}

TEST_CASE("convert_float16: bodies are converted inside, their borders stay") {
  const Graph after = check_pass(kHead + R"((float[2,2] x, int64 k) => (float[2,2] y)
<int64 zero = {0}, float[2,2] w = {1, 2, 3, 4}>
{ c = Equal(k, zero)
  i = If(c) <then_branch = a () => (float[2,2] p) { p = MatMul(x, w) },
             else_branch = b () => (float[2,2] q) { m = MatMul(x, x)  q = Relu(m) }>
  y = Relu(i) })",
                                 convert, 3, 2e-3);
  CHECK(type_of(after, "i") == DType::kFloat32);
}

TEST_CASE("convert_float16: near misses stay") {
  SUBCASE("float16 already") {
    check_pass(kHead + R"((float16[2] x) => (float16[2] y) { r = Relu(x)  y = Neg(r) })", convert,
               0);
  }
  SUBCASE("integers") {
    check_pass(kHead + R"((int64[2] x) => (int64[2] y) { r = Abs(x)  y = Neg(r) })", convert, 0);
  }
  SUBCASE("between quantized neighbours") {
    check_pass(kHead + R"((float[2,2] x) => (float[2,2] y)
<float s = {0.1}, uint8 z = {7}>
{ q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  r = Relu(d)
  k = QuantizeLinear(r, s, z)  y = DequantizeLinear(k, s, z) })",
               convert, 0);
  }
  SUBCASE("nothing but what stays") {
    check_pass(kHead + R"((float[2,2] x) => (float[2,2] y) { e = Exp(x)  n = Neg(e)  y = Exp(n) })",
               convert, 0);
  }
}

TEST_CASE("convert_float16: no chain of Casts is left behind") {
  const Graph after = check_pass(
      kHead + R"((float16[N,2] x) => (float[N,2] y)
{ w = Cast<to = 1>(x)  a = Mul(w, w)  y = Neg(a) })",
      [](Graph& graph) {
        const int converted = convert_float16(graph);
        return converted + eliminate_redundant_casts(graph);
      },
      3, 2e-3);
  CHECK(node_list(after) == "a = Mul(x, x); y_float16 = Neg(a); y = Cast(y_float16)");
}

}  // namespace lathe
