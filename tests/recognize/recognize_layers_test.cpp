// LayerNormalization, Attention, Focus, Softmax behind Flatten.
#include "graph/node_list.h"
#include "pass_check.h"
#include "recognize/recognition_passes.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::kHead;
using test::node_list;

namespace {

Graph layer_norm(const std::string& body, int changes = 1, const std::string& axes = "[-1]") {
  std::string text = kHead + R"((float[N,3,4] x) => (float[N,3,4] y)
<float two = {2}, float half = {0.5}, float eps = {1e-5}, float none = {0},
 float[4] g = {1, 2, 3, 4}, float[1,1,4] h = {4, 3, 2, 1}, float[4] b = {5, 6, 7, 8},
 float[3,1] rows = {1, 2, 3}, float scalar = {3}> { )" +
                     body + " }";
  for (size_t at; (at = text.find("AXES")) != std::string::npos;)
    text.replace(at, 4, "<axes = " + axes + ">");
  return check_pass(text, recognize_layer_norm, changes);
}

const std::string kCore =
    "m = ReduceMeanAXES(x) d = Sub(x, m) p = Pow(d, two) v = ReduceMeanAXES(p) e = Add(v, eps) "
    "s = Sqrt(e) ";

}  // namespace

TEST_CASE("recognize_layer_norm: with and without parameters") {
  CHECK(node_list(layer_norm(kCore + "y = Div(d, s)")) == "y = LayerNormalization(x, y_scale)");
  CHECK(node_list(layer_norm(kCore + "n = Div(d, s) y = Mul(n, g)")) ==
        "y = LayerNormalization(x, g)");
  CHECK(node_list(layer_norm(kCore + "n = Div(d, s) k = Mul(g, n) y = Add(k, b)")) ==
        "y = LayerNormalization(x, g, b)");
  CHECK(node_list(layer_norm(kCore + "n = Div(d, s) k = Mul(h, n) y = Add(scalar, k)")) ==
        "y = LayerNormalization(x, y_scale, y_bias)");
  CHECK(node_list(layer_norm(kCore + "n = Div(d, s) k = Add(n, b) y = Relu(k)")) ==
        "k = LayerNormalization(x, k_scale, b); y = Relu(k)");
}

TEST_CASE("recognize_layer_norm: other spellings") {
  layer_norm(
      "m = ReduceMeanAXES(x) d = Sub(x, m) p = Mul(d, d) v = ReduceMeanAXES(p) e = Add(eps, v) "
      "s = Pow(e, half) y = Div(d, s)");
  CHECK(node_list(
            layer_norm(kCore + "r = Reciprocal(s) k = Mul(r, g) n = Mul(d, k) y = Add(n, b)")) ==
        "y = LayerNormalization(x, g, b)");
  const Graph two = layer_norm(kCore + "n = Div(d, s) k = Mul(n, rows) y = Add(k, g)", 1, "[1, 2]");
  CHECK(node_list(two) == "y = LayerNormalization(x, y_scale, y_bias)");
  CHECK(two.node(two.order()[0]).attributes.int_or("axis", 0) == -2);
}

TEST_CASE("recognize_layer_norm: sums, restored dimensions, variance from the squares") {
  const auto check = [](const std::string& variance, int changes) {
    check_pass(kHead + R"((float[N,4] x) => (float[N,4] y)
<float quarter = {0.25}, float third = {0.3333333}, float none = {0}, float eps = {1e-3},
 int64[1] last = {1}, int64[2] back = {0, 1}, float[1,4] g = {1, 2, 3, 4}>
{ s = ReduceSum<keepdims = 0>(x, last)  m = Mul(s, quarter)  k = Reshape(m, back)  d = Sub(x, k)
  p = Mul(x, x)  q = ReduceSum<keepdims = 0>(p, last)  )" +
                   variance + R"(  r = Reshape(c, back)  e = Add(r, eps)  o = Sqrt(e)
  i = Reciprocal(o)  f = Mul(i, g)  y = Mul(d, f) })",
               recognize_layer_norm, changes, 1e-4);
  };
  check("v = Mul(q, quarter) n = Mul(m, m) w = Sub(v, n) c = Max(none, w)", 1);
  check("v = Mul(q, quarter) n = Mul(m, m) w = Sub(v, n) c = Relu(w)", 1);
  // Another count; another square.
  check("v = Mul(q, third) n = Mul(m, m) w = Sub(v, n) c = Max(none, w)", 0);
  check("v = Mul(q, quarter) n = Mul(m, v) w = Sub(v, n) c = Max(none, w)", 0);
  check("v = Mul(q, quarter) n = Mul(m, m) w = Sub(v, n) c = Max(eps, w)", 0);
}

TEST_CASE("recognize_softmax: kept and restored dimensions") {
  CHECK(node_list(check_pass(kHead + R"((float[N,3,4] x) => (float[N,3,4] y)
<int64[1] last = {2}>
{ m = ReduceMax<axes = [-1]>(x)  d = Sub(x, m)  e = Exp(d)  s = ReduceSum(e, last)
  y = Div(e, s) })",
                             recognize_softmax, 1)) == "y = Softmax(x)");
  CHECK(node_list(check_pass(kHead + R"((float[N,4] x) => (float[N,4] y)
<int64[1] last = {1}, int64[2] back = {0, 1}>
{ m = ReduceMax<axes = [1], keepdims = 0>(x)  k = Reshape(m, back)  d = Sub(x, k)  e = Exp(d)
  s = ReduceSum<keepdims = 0>(e, last)  u = Unsqueeze(s, last)  r = Reciprocal(u)
  y = Mul(e, r) })",
                             recognize_softmax, 1)) == "y = Softmax(x)");
}

TEST_CASE("recognize_softmax: near misses stay") {
  for (const char* body : {
           // Another axis, two axes, another sum, the power is read.
           "m = ReduceMax<axes = [1]>(x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, middle) "
           "y = Div(e, s)",
           "m = ReduceMax<axes = [1, 2]>(x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) "
           "y = Div(e, s)",
           "m = ReduceMax<axes = [2]>(x) d = Sub(x, m) e = Exp(d) s = ReduceSum(x, last) "
           "y = Div(e, s)",
           "m = ReduceMax<axes = [2]>(x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) "
           "z = Div(e, s) y = Add(z, e)",
           // No dimension is restored: the sums run along the columns.
           "m = ReduceMax<axes = [2]>(x) d = Sub(x, m) e = Exp(d) "
           "s = ReduceSum<keepdims = 0>(e, last) y = Div(e, s)",
       }) {
    CAPTURE(body);
    check_pass(kHead + R"((float[4,4,4] x) => (float[4,4,4] y)
<int64[1] last = {2}, int64[1] middle = {1}> { )" +
                   body + " }",
               recognize_softmax, 0);
  }
}

TEST_CASE("recognize_layer_norm: near misses stay") {
  // Not the last axes; without epsilon; another value; a mean that is read; unequal axes.
  layer_norm(kCore + "y = Div(d, s)", 0, "[1]");
  layer_norm(
      "m = ReduceMeanAXES(x) d = Sub(x, m) p = Pow(d, two) v = ReduceMeanAXES(p) e = Add(v, none) "
      "s = Sqrt(e) y = Div(d, s)",
      0);
  layer_norm(
      "m = ReduceMeanAXES(x) d = Sub(x, m) p = Pow(x, two) v = ReduceMeanAXES(p) e = Add(v, eps) "
      "s = Sqrt(e) y = Div(d, s)",
      0);
  layer_norm(kCore + "n = Div(d, s) y = Add(n, m)", 0);
  layer_norm(
      "m = ReduceMean<axes = [1, 2]>(x) d = Sub(x, m) p = Pow(d, two) v = ReduceMeanAXES(p) "
      "e = Add(v, eps) s = Sqrt(e) y = Div(d, s)",
      0);
  // Parameters along other axes stay outside.
  CHECK(node_list(layer_norm(kCore + "n = Div(d, s) y = Mul(n, rows)")) ==
        "n = LayerNormalization(x, n_scale); y = Mul(n, rows)");
}

namespace {

std::string attention(const std::string& body, const std::string& key = "float[B,2,5,4] k") {
  return kHead + "(float[B,2,3,4] q, " + key + R"(, float[B,2,5,6] v, float[3,5] mask,
   float[3,1] narrow) => (float[B,2,3,6] y)
<float c = {0.5}, float two = {2}, float minus = {-1}> { )" +
         body + " }";
}

}  // namespace

TEST_CASE("recognize_attention: the scale on scores, on Q, on K; a mask") {
  const auto check = [](const std::string& body, const char* wanted, float scale) {
    CAPTURE(body);
    const Graph after = check_pass(attention(body), recognize_attention, 1);
    CHECK(node_list(after) == wanted);
    CHECK(after.node(after.order().back()).attributes.float_or("scale", 0) == scale);
  };
  const std::string transposed = "t = Transpose<perm = [0, 1, 3, 2]>(k) ";
  check(transposed + "s = MatMul(q, t) m = Mul(s, c) w = Softmax(m) y = MatMul(w, v)",
        "y = Attention(q, k, v)", 0.5F);
  check(transposed + "s = MatMul(q, t) m = Div(s, two) w = Softmax<axis = 3>(m) y = MatMul(w, v)",
        "y = Attention(q, k, v)", 0.5F);
  check(transposed + "s = MatMul(q, t) w = Softmax(s) y = MatMul(w, v)", "y = Attention(q, k, v)",
        1.0F);
  check(
      "j = Mul(q, c) l = Mul(k, c) t = Transpose<perm = [0, 1, 3, 2]>(l) s = MatMul(j, t) "
      "w = Softmax(s) y = MatMul(w, v)",
      "y = Attention(q, k, v)", 0.25F);
  check(transposed +
            "s = MatMul(q, t) m = Mul(s, c) a = Add(m, mask) w = Softmax(a) "
            "y = MatMul(w, v)",
        "y = Attention(q, k, v, mask)", 0.5F);
}

TEST_CASE("recognize_attention: what is left of K's Transpose stays") {
  const Graph after =
      check_pass(attention("t = Transpose<perm = [0, 2, 3, 1]>(k) s = MatMul(q, t) m = Mul(c, s) "
                           "w = Softmax(m) y = MatMul(w, v)",
                           "float[B,5,2,4] k"),
                 recognize_attention, 1);
  CHECK(node_list(after) == "y_key = Transpose(k); y = Attention(q, y_key, v)");
}

TEST_CASE("recognize_attention: three dimensions are one head") {
  const Graph after = check_pass(kHead + R"((float[N,3,4] q, float[N,5,4] k, float[N,5,4] v)
=> (float[N,3,4] y) <float c = {0.5}>
{ t = Transpose<perm = [0, 2, 1]>(k)  j = Mul(q, c)  s = MatMul(j, t)  w = Softmax(s)
  y = MatMul(w, v) })",
                                 recognize_attention, 1);
  CHECK(node_list(after) == "y = Attention(q, k, v)");
  CHECK(after.node(after.order()[0]).attributes.int_or("q_num_heads", 0) == 1);
}

TEST_CASE("recognize_attention: near misses stay") {
  const std::string transposed = "t = Transpose<perm = [0, 1, 3, 2]>(k) ";
  for (const std::string& body : {
           // Over another axis; a negative scale; weights or K that are read elsewhere; a mask that
           // Attention would pad.
           transposed + "s = MatMul(q, t) w = Softmax<axis = 2>(s) y = MatMul(w, v)",
           transposed + "s = MatMul(q, t) m = Mul(s, minus) w = Softmax(m) y = MatMul(w, v)",
           transposed + "s = MatMul(q, t) w = Softmax(s) z = MatMul(w, v) r = ReduceMax(w) "
                        "y = Add(z, r)",
           transposed + "s = MatMul(q, t) w = Softmax(s) z = MatMul(w, v) r = ReduceMax(t) "
                        "y = Add(z, r)",
           transposed + "s = MatMul(q, t) a = Add(s, narrow) w = Softmax(a) y = MatMul(w, v)",
       }) {
    CAPTURE(body);
    check_pass(attention(body), recognize_attention, 0);
  }
  // K has one head for all: MatMul broadcasts, Attention groups.
  check_pass(kHead + R"((float[1,2,3,4] q, float[1,1,5,4] k, float[1,2,5,4] v)
=> (float[1,2,3,4] y)
{ t = Transpose<perm = [0, 1, 3, 2]>(k)  s = MatMul(q, t)  w = Softmax(s)  y = MatMul(w, v) })",
             recognize_attention, 0);
}

namespace {

// Phases in the order of `names`: a (0, 0), b (1, 0), c (0, 1), d (1, 1) as (row, column).
std::string focus(const std::string& names, const std::string& tail,
                  const std::string& end = "9223372036854775807") {
  return kHead + R"((float[1,2,4,6] x) => (float[1,3,2,3] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3},
 int64[1] end = {)" +
         end + R"(}, float[3,8,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}, float[1,8,1,1] k = {1, 2, 3, 4, 5, 6, 7, 8}>
{ e = Slice(x, zero, end, two, two)  o = Slice(x, one, end, two, two)
  a = Slice(e, zero, end, three, two)  b = Slice(o, zero, end, three, two)
  c = Slice(e, one, end, three, two)  d = Slice(o, one, end, three, two)
  f = Concat<axis = 1>()" +
         names + ") " + tail + " }";
}

}  // namespace

TEST_CASE("recognize_focus: in SpaceToDepth's order, and in YOLO's before a Conv") {
  CHECK(node_list(check_pass(focus("a, c, b, d", "y = Conv(f, w)"), recognize_focus, 1)) ==
        "f = SpaceToDepth(x); y = Conv(f, w)");
  CHECK(node_list(check_pass(focus("a, b, c, d", "y = Conv(f, w)", "6"), recognize_focus, 1)) ==
        "f_by_depth = SpaceToDepth(x); y = Conv(f_by_depth, w_permuted)");
}

TEST_CASE("recognize_focus: near misses stay") {
  // Another order without a Conv of its own; a phase twice; a slice that ends early.
  check_pass(focus("a, b, c, d", "m = Mul(f, k) y = Conv(m, w)"), recognize_focus, 0);
  check_pass(focus("a, b, c, d", "g = Conv(f, w) r = ReduceMax(f) y = Add(g, r)"), recognize_focus,
             0);
  check_pass(focus("a, a, b, d", "y = Conv(f, w)"), recognize_focus, 0);
  check_pass(kHead + R"((float[1,1,4,8] x) => (float[1,4,1,2] y)
<int64[2] s = {0, 0}, int64[2] t = {1, 0}, int64[2] u = {0, 1}, int64[2] v = {1, 1},
 int64[2] end = {2, 4}, int64[2] axes = {2, 3}, int64[2] steps = {2, 2}>
{ a = Slice(x, s, end, axes, steps)  b = Slice(x, u, end, axes, steps)
  c = Slice(x, t, end, axes, steps)  d = Slice(x, v, end, axes, steps)
  y = Concat<axis = 1>(a, b, c, d) })",
             recognize_focus, 0);
}

TEST_CASE("recognize_flattened_softmax: rows of the last axis") {
  const Graph after = check_pass(kHead + R"((float[N,3,4] x) => (float[N,3,4] y)
{ f = Flatten<axis = 2>(x)  s = Softmax<axis = 1>(f)  d = Shape(x)  y = Reshape(s, d) })",
                                 recognize_flattened_softmax, 1);
  CHECK(count_of(after, OpKind::kFlatten) == 0);
  CHECK(count_of(after, OpKind::kReshape) == 0);
  // Rows that are longer than the last axis; another shape behind.
  check_pass(kHead + R"((float[N,3,4] x) => (float[N,3,4] y)
{ f = Flatten<axis = 1>(x)  s = Softmax<axis = 1>(f)  d = Shape(x)  y = Reshape(s, d) })",
             recognize_flattened_softmax, 0);
  check_pass(kHead + R"((float[2,3,4] x) => (float[3,2,4] y) <int64[3] d = {3, 2, 4}>
{ f = Flatten<axis = 2>(x)  s = Softmax<axis = 1>(f)  y = Reshape(s, d) })",
             recognize_flattened_softmax, 0);
}

}  // namespace lathe
