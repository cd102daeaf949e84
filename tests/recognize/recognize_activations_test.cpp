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

// Every constant that the forms below need, and a few near ones.
std::string with_constants(const std::string& body) {
  return kHead + R"((float[2,8] x) => (float[2,8] y)
<float root = {1.4142135}, float over = {0.70710677}, float one = {1}, float half = {0.5},
 float two = {2}, float three = {3}, float cubic = {0.044715}, float slope = {0.7978846},
 float near = {0.7071}, float zero = {0}, float six = {6}, float sixth = {0.16666667},
 float four = {4}, float quick = {1.702}, float[1,1,1] raised = {0.5}> { )" +
         body + " }";
}

Graph recognized(int (*pass)(Graph&), const std::string& body, int changes = 1) {
  return check_pass(with_constants(body), pass, changes);
}

std::string approximate_of(const Graph& graph) {
  return graph.node(graph.order()[0]).attributes.string_or("approximate", "");
}

}  // namespace

TEST_CASE("recognize_gelu: erf in every order") {
  for (const char* body : {
           "d = Div(x, root) e = Erf(d) g = Add(e, one) m = Mul(x, g) y = Mul(m, half)",
           "d = Mul(over, x) e = Erf(d) g = Add(one, e) m = Mul(g, half) y = Mul(m, x)",
           "h = Mul(x, half) d = Div(x, root) e = Erf(d) g = Add(e, one) y = Mul(h, g)",
           "d = Div(x, root) e = Erf(d) g = Add(e, one) m = Mul(x, g) y = Div(m, two)",
       }) {
    CAPTURE(body);
    const Graph after = recognized(recognize_gelu, body);
    CHECK(node_list(after) == "y = Gelu(x)");
    CHECK(approximate_of(after) == "none");
  }
}

TEST_CASE("recognize_gelu: tanh with the cube as Pow, as products, factored") {
  for (const char* body : {
           "p = Pow(x, three) c = Mul(p, cubic) s = Add(x, c) a = Mul(s, slope) t = Tanh(a) "
           "g = Add(t, one) h = Mul(x, half) y = Mul(h, g)",
           "b = Mul(cubic, x) c = Mul(x, b) p = Mul(x, c) s = Add(x, p) a = Mul(slope, s) "
           "t = Tanh(a) g = Add(one, t) h = Mul(half, g) y = Mul(x, h)",
           "p = Mul(x, x) c = Mul(p, cubic) s = Add(c, one) i = Mul(x, s) a = Mul(i, slope) "
           "t = Tanh(a) g = Add(t, one) h = Mul(x, g) y = Mul(h, half)",
       }) {
    CAPTURE(body);
    const Graph after = recognized(recognize_gelu, body);
    CHECK(node_list(after) == "y = Gelu(x)");
    CHECK(approximate_of(after) == "tanh");
  }
}

TEST_CASE("recognize_gelu: near misses stay") {
  for (const char* body : {
           // Four digits of 1 / sqrt 2, the wrong half, another x, an inner value that is read.
           "d = Mul(x, near) e = Erf(d) g = Add(e, one) m = Mul(x, g) y = Mul(m, half)",
           "d = Div(x, root) e = Erf(d) g = Add(e, one) m = Mul(x, g) y = Mul(m, two)",
           "z = Neg(x) d = Div(z, root) e = Erf(d) g = Add(e, one) m = Mul(x, g) y = Mul(m, half)",
           "d = Div(x, root) e = Erf(d) g = Add(e, one) m = Mul(x, g) n = Mul(m, half) "
           "y = Add(n, e)",
           "p = Pow(x, two) c = Mul(p, cubic) s = Add(x, c) a = Mul(s, slope) t = Tanh(a) "
           "g = Add(t, one) h = Mul(x, half) y = Mul(h, g)",
       }) {
    CAPTURE(body);
    recognized(recognize_gelu, body, 0);
  }
  // The scalar's dimensions raise the rank.
  check_pass(kHead + R"((float[2,8] x) => (float[1,2,8] y)
<float root = {1.4142135}, float one = {1}, float[1,1,1] half = {0.5}>
{ d = Div(x, root)  e = Erf(d)  g = Add(e, one)  m = Mul(x, g)  y = Mul(m, half) })",
             recognize_gelu, 0);
}

TEST_CASE("recognize_swish: with and without alpha, of a product") {
  CHECK(node_list(recognized(recognize_swish, "s = Sigmoid(x) y = Mul(x, s)")) == "y = Swish(x)");
  CHECK(node_list(recognized(recognize_swish, "s = Sigmoid(x) y = Mul(s, x)")) == "y = Swish(x)");
  const Graph quick = recognized(recognize_swish, "a = Mul(x, quick) s = Sigmoid(a) y = Mul(x, s)");
  CHECK(node_list(quick) == "y = Swish(x)");
  CHECK(quick.node(quick.order()[0]).attributes.float_or("alpha", 1) == 1.702F);
  CHECK(node_list(recognized(recognize_swish, "p = Mul(x, x) s = Sigmoid(p) y = Mul(p, s)")) ==
        "p = Mul(x, x); y = Swish(p)");
  CHECK(node_list(recognized(recognize_swish, "s = Sigmoid(x) m = Mul(x, s) y = Mul(m, half)")) ==
        "m = Swish(x); y = Mul(m, half)");
}

TEST_CASE("recognize_swish: near misses stay") {
  for (const char* body : {
           "z = Neg(x) s = Sigmoid(z) y = Mul(x, s)",
           "s = Sigmoid(x) m = Mul(x, s) y = Add(m, s)",
           "h = Mul(x, half) s = Sigmoid(x) y = Mul(h, s)",
           "s = Sigmoid(x) y = Add(x, s)",
       }) {
    CAPTURE(body);
    recognized(recognize_swish, body, 0);
  }
}

TEST_CASE("recognize_hard_sigmoid: Clip of a shifted value over its top") {
  const Graph after = recognized(recognize_hard_sigmoid,
                                 "a = Add(x, three) c = Clip(a, zero, six) y = Div(c, six)");
  CHECK(node_list(after) == "y = HardSigmoid(x)");
  const Attributes& attributes = after.node(after.order()[0]).attributes;
  CHECK(attributes.float_or("alpha", 0) == doctest::Approx(1.0 / 6));
  CHECK(attributes.float_or("beta", 0) == doctest::Approx(0.5));
  recognized(recognize_hard_sigmoid, "a = Add(two, x) c = Clip(a, zero, four) y = Div(c, four)");
  recognized(recognize_hard_sigmoid, "a = Sub(x, one) c = Clip(a, zero, six) y = Mul(c, sixth)");
  for (const char* body : {
           "a = Add(x, three) c = Clip(a, zero, six) y = Div(c, four)",
           "a = Add(x, three) c = Clip(a, one, six) y = Div(c, six)",
           "c = Clip(x, zero, six) y = Div(c, six)",
           "a = Add(x, three) c = Clip(a, zero, six) d = Div(c, six) y = Add(d, c)",
       }) {
    CAPTURE(body);
    recognized(recognize_hard_sigmoid, body, 0);
  }
}

TEST_CASE("recognize_hard_swish: with HardSigmoid and in every order of the written-out form") {
  for (const char* body : {
           "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(x, h)",
           "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)",
           "a = Add(x, three) c = Clip(a, zero, six) d = Div(c, six) y = Mul(x, d)",
           "a = Add(three, x) c = Clip(a, zero, six) d = Mul(c, sixth) y = Mul(d, x)",
           "a = Add(x, three) c = Clip(a, zero, six) d = Mul(x, sixth) y = Mul(d, c)",
       }) {
    CAPTURE(body);
    CHECK(node_list(recognized(recognize_hard_swish, body)) == "y = HardSwish(x)");
  }
  for (const char* body : {
           "h = HardSigmoid(x) y = Mul(x, h)",
           "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) m = Mul(x, h) y = Add(m, h)",
           "a = Add(x, two) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)",
           "a = Add(x, three) c = Clip(a, zero, four) m = Mul(x, c) y = Div(m, six)",
           "a = Add(x, three) c = Clip(a, zero, six) y = Mul(x, c)",
       }) {
    CAPTURE(body);
    recognized(recognize_hard_swish, body, 0);
  }
}

TEST_CASE("recognition goes into the bodies of control flow") {
  const Graph after = check_pass(kHead + R"((float[2] x, bool c) => (float[2] y)
{ y = If(c) <then_branch = a () => (float[2] r) { s = Sigmoid(x)  r = Mul(x, s) },
             else_branch = b () => (float[2] q) { q = Abs(x) }> })",
                                 recognize_swish, 1);
  CHECK(test::total_nodes(after) == 3);
}

}  // namespace lathe
