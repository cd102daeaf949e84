#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "pass_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::kHead;
using test::node_list;

TEST_CASE("eliminate_common_subexpressions: equal nodes and what follows from them") {
  const Graph after = check_pass(kHead + R"((float[2] x) => (float[2] y, float[2] z)
{ a = Relu(x)  b = Relu(x)  c = Exp(a)  d = Exp(b)  y = Add(c, d)  z = Abs(d) })",
                                 eliminate_common_subexpressions, 2);
  CHECK(node_list(after) == "a = Relu(x); c = Exp(a); y = Add(c, c); z = Abs(c)");
}

TEST_CASE("eliminate_common_subexpressions: a graph output keeps its name") {
  const Graph after = check_pass(kHead + R"((float[2] x) => (float[2] y, float[2] z)
{ a = Relu(x)  y = Relu(x)  z = Exp(a) })",
                                 eliminate_common_subexpressions, 1);
  CHECK(node_list(after) == "y = Relu(x); z = Exp(y)");
}

TEST_CASE("eliminate_common_subexpressions: near misses stay") {
  SUBCASE("other attributes") {
    check_pass(kHead + R"((float[2,2] x) => (float[2,2] y)
{ a = Softmax<axis = 0>(x)  b = Softmax<axis = 1>(x)  y = Add(a, b) })",
               eliminate_common_subexpressions, 0);
  }
  SUBCASE("other order of inputs") {
    check_pass(kHead + R"((float[2] x, float[2] z) => (float[2] y)
{ a = Sub(x, z)  b = Sub(z, x)  y = Mul(a, b) })",
               eliminate_common_subexpressions, 0);
  }
  SUBCASE("both are graph outputs") {
    check_pass(kHead + R"((float[2] x) => (float[2] y, float[2] z) { y = Relu(x)  z = Relu(x) })",
               eliminate_common_subexpressions, 0);
  }
  SUBCASE("random draws") {
    Graph graph = test::graph_of(kHead + R"((float[2] x) => (float[2] y)
{ a = RandomNormalLike(x)  b = RandomNormalLike(x)  y = Sub(a, b) })");
    CHECK(eliminate_common_subexpressions(graph) == 0);
  }
  SUBCASE("one DequantizeLinear per reader") {
    check_pass(kHead + R"((float[1,2] x) => (float[1,2] y)
<int8[2,2] q = {1, 2, 3, 4}, float s = {0.5}, int8 z = {0}>
{ v = DequantizeLinear(q, s, z)  w = DequantizeLinear(q, s, z)  a = MatMul(x, v)
  y = MatMul(a, w) })",
               eliminate_common_subexpressions, 0);
  }
}

TEST_CASE("inline_constant_if: the chosen branch, taken names get a suffix") {
  const std::string text = kHead + R"((float[2] x) => (float[2] y)
<bool c = {1}>
{ h = Relu(x)
  i = If(c) <then_branch = a () => (float[2] r) <float[2] k = {1, 2}> { p = Exp(h)  r = Add(p, k) },
             else_branch = b () => (float[2] q) { q = Abs(x) }>
  j = If(c) <then_branch = d () => (float[2] r) <float[2] k = {3, 4}> { p = Neg(i)  r = Mul(p, k) },
             else_branch = e () => (float[2] q) { q = Abs(i) }>
  y = Mul(j, h) })";
  const Graph yes = check_pass(text, inline_constant_if, 2);
  CHECK(node_list(yes) ==
        "h = Relu(x); p = Exp(h); r = Add(p, k); p_1 = Neg(r); "
        "r_1 = Mul(p_1, k_1); y = Mul(r_1, h)");
  std::string negative = text;
  negative.replace(negative.find("bool c = {1}"), 12, "bool c = {0}");
  const Graph no = check_pass(negative, inline_constant_if, 2);
  CHECK(node_list(no) == "h = Relu(x); q = Abs(x); q_1 = Abs(q); y = Mul(q_1, h)");
}

TEST_CASE("inline_constant_if: a branch that only passes an outer value on; nested") {
  check_pass(kHead + R"((float[2] x) => (float[2] y)
<bool c = {1}>
{ y = If(c) <then_branch = a () => (float[2] r) { r = Identity(x) },
             else_branch = b () => (float[2] q) { q = Abs(x) }> })",
             inline_constant_if, 1);
  const Graph nested = check_pass(kHead + R"((float[2] x) => (float[2] y)
<bool c = {1}, int64 one = {1}>
{ y = If(c) <then_branch = a () => (float[2] r)
               { n = Size(x)  d = Greater(n, one)  w = Exp(x)
                 r = If(d) <then_branch = e () => (float[2] s) { s = Neg(w) },
                            else_branch = f () => (float[2] t) { t = Relu(x) }> },
             else_branch = b () => (float[2] q) { q = Abs(x) }> })",
                                  inline_constant_if, 1);
  CHECK(count_of(nested, OpKind::kIf) == 1);
}

TEST_CASE("copy_constants_into_bodies: a condition that stands outside, two bodies further in") {
  const std::string text = kHead + R"((float[2] x) => (float[2] y)
<bool flag = {1}, int64 one = {1}, float[2] k = {1, 2}>
{ n = Size(x)  c = Greater(n, one)
  y = If(c) <then_branch = a () => (float[2] r)
               { r = If(flag) <then_branch = e () => (float[2] s) { s = Mul(x, k) },
                               else_branch = f () => (float[2] t) { t = Relu(x) }> },
             else_branch = b () => (float[2] q) { q = Abs(x) }> })";
  Graph after = check_pass(text, copy_constants_into_bodies, 3);
  CHECK(inline_constant_if(after) == 1);
  CHECK(node_list(after) == "n = Size(x); c = Greater(n, one); y = If(c)");
}

TEST_CASE("copy_constants_into_bodies: weights, and what a body only passes on, stay outside") {
  check_pass(kHead + R"((float[2] x) => (float[2] y)
<int64 one = {1}, float[2] k = {1, 2}>
{ n = Size(x)  c = Greater(n, one)  h = Exp(k)
  y = If(c) <then_branch = a () => (float[2] r) { r = Mul(x, h) },
             else_branch = b () => (float[2] q) { q = Abs(x) }> })",
             copy_constants_into_bodies, 0);
}

TEST_CASE("inline_constant_if: a condition that is computed stays") {
  check_pass(kHead + R"((float[2] x) => (float[2] y)
<int64 one = {1}>
{ n = Size(x)  c = Greater(n, one)
  y = If(c) <then_branch = a () => (float[2] r) { r = Neg(x) },
             else_branch = b () => (float[2] q) { q = Abs(x) }> })",
             inline_constant_if, 0);
}

TEST_CASE("merge_activations: Relu and Clip over their common range") {
  const auto merged = [](const std::string& body, int changes) {
    return node_list(check_pass(kHead + R"((float[8] x) => (float[8] y)
<float zero = {0}, float six = {0.6}, float low = {-0.5}, float high = {0.4}, float far = {0.9}>
{ )" + body + " }",
                                merge_activations, changes));
  };
  CHECK(merged("a = Relu(x) y = Relu(a)", 1) == "y = Relu(x)");
  CHECK(merged("a = Relu(x) y = Clip(a, zero, six)", 1) == "y = Clip(x, zero, six)");
  CHECK(merged("a = Clip(x, zero, six) y = Relu(a)", 1) == "y = Clip(x, zero, six)");
  CHECK(merged("a = Clip(x, low, six) y = Clip(a, zero, high)", 1) == "y = Clip(x, zero, high)");
  CHECK(merged("a = Clip(x, low, high) y = Relu(a)", 1) == "y = Clip(x, y_min, y_max)");
  CHECK(merged("a = Clip(x, low, high) y = Clip(a, six, far)", 1) == "y = Clip(x, y_min, y_max)");
  CHECK(merged("a = Clip(x, low) y = Relu(a)", 1) == "y = Relu(x)");
  CHECK(merged("a = Clip(x, , six) y = Clip(a, , high)", 1) == "y = Clip(x, -, high)");
}

TEST_CASE("merge_activations: near misses stay") {
  SUBCASE("the first is read elsewhere and the second narrows") {
    check_pass(kHead + R"((float[8] x) => (float[8] y, float[8] z)
<float zero = {0}, float six = {0.6}>
{ a = Relu(x)  y = Clip(a, zero, six)  z = Exp(a) })",
               merge_activations, 0);
  }
  SUBCASE("bounds that are computed") {
    check_pass(kHead + R"((float[8] x, float m) => (float[8] y) { a = Relu(x)  y = Clip(a, m) })",
               merge_activations, 0);
  }
  SUBCASE("another activation") {
    check_pass(kHead + R"((float[8] x) => (float[8] y) { a = LeakyRelu(x)  y = Relu(a) })",
               merge_activations, 0);
  }
  SUBCASE("both are graph outputs") {
    check_pass(kHead + R"((float[8] x) => (float[8] y, float[8] z) { y = Relu(x)  z = Relu(y) })",
               merge_activations, 0);
  }
}

TEST_CASE("fuse_matmul_add: both orders of Add, a batch that is not known") {
  const std::string text = kHead + R"((float[N,3] x) => (float[N,2] y)
<float[3,2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {10, -10}>
{ m = MatMul(x, w)  y = Add(m, b) })";
  CHECK(node_list(check_pass(text, fuse_matmul_add, 1)) == "y = Gemm(x, w, b)");
  std::string swapped = text;
  swapped.replace(swapped.find("Add(m, b)"), 9, "Add(b, m)");
  CHECK(node_list(check_pass(swapped, fuse_matmul_add, 1)) == "y = Gemm(x, w, b)");
}

TEST_CASE("fuse_matmul_add: near misses stay") {
  SUBCASE("three dimensions") {
    check_pass(kHead + R"((float[1,2,3] x) => (float[1,2,2] y)
<float[3,2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {10, -10}> { m = MatMul(x, w)  y = Add(m, b) })",
               fuse_matmul_add, 0);
  }
  SUBCASE("a bias along the rows") {
    check_pass(kHead + R"((float[2,3] x) => (float[2,2] y)
<float[3,2] w = {1, 2, 3, 4, 5, 6}, float[2,1] b = {10, -10}> { m = MatMul(x, w)  y = Add(m, b) })",
               fuse_matmul_add, 0);
  }
  SUBCASE("a bias that widens the output") {
    check_pass(kHead + R"((float[2,3] x) => (float[2,2] y)
<float[3,1] w = {1, 2, 3}, float[2] b = {10, -10}> { m = MatMul(x, w)  y = Add(m, b) })",
               fuse_matmul_add, 0);
  }
  SUBCASE("the product is read elsewhere") {
    check_pass(kHead + R"((float[2,3] x) => (float[2,2] y, float[2,2] m)
<float[3,2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {10, -10}> { m = MatMul(x, w)  y = Add(m, b) })",
               fuse_matmul_add, 0);
  }
  SUBCASE("a dequantized weight") {
    check_pass(kHead + R"((float[1,2] x) => (float[1,2] y)
<int8[2,2] q = {1, 2, 3, 4}, float s = {0.5}, int8 z = {0}, float[2] b = {10, -10}>
{ w = DequantizeLinear(q, s, z)  m = MatMul(x, w)  y = Add(m, b) })",
               fuse_matmul_add, 0);
  }
}

TEST_CASE("fold_shape_chains: known dimensions beside unknown ones") {
  const Graph after = check_pass(kHead + R"((float[N,3,4] x) => (float[3] y)
<int64 one = {1}, int64[1] minus = {-1}, int64[1] big = {9}, int64[1] zero = {0}>
{ s = Shape(x)  c = Gather(s, one)  r = Slice(s, minus, big)  u = Unsqueeze(c, zero)
  k = Concat<axis = 0>(u, r)  e = Gather(k, zero)  f = Cast<to = 1>(e)  g = Cast<to = 1>(r)
  h = Mul(f, g)  i = ReduceSum(x)  j = Mul(h, i)  y = Concat<axis = 0>(f, g, h) })",
                                 fold_shape_chains, 3);
  CHECK(count_of(after, OpKind::kGather) == 0);
  CHECK(count_of(after, OpKind::kSlice) == 0);
}

TEST_CASE("fold_shape_chains: unknown dimensions and computed indices stay") {
  check_pass(kHead + R"((float[N,3] x, int64[1] i) => (float[1] y, float[2] z, float[1] v)
<int64[1] zero = {0}, int64[1] two = {2}>
{ s = Shape(x)  c = Gather(s, zero)  y = Cast<to = 1>(c)  r = Slice(s, zero, two)
  z = Cast<to = 1>(r)  g = Gather(s, i)  v = Cast<to = 1>(g) })",
             fold_shape_chains, 0);
}

TEST_CASE("remove_unused_outputs: trailing outputs that nobody reads") {
  const Graph after = check_pass(kHead + R"((float[1,1,4,4] x) => (float[1,1,2,2] y)
{ d, mask = Dropout(x)  p, indices = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(d)
  y = Relu(p) })",
                                 remove_unused_outputs, 2);
  CHECK(node_list(after) == "d = Dropout(x); p = MaxPool(d); y = Relu(p)");
  const Graph lstm = check_pass(kHead + R"((float[2,1,1] x) => (float[1,1,1] y)
<float[1,4,1] w = {1, 2, 3, 4}, float[1,4,1] r = {1, 2, 3, 4}>
{ a, h, c = LSTM<hidden_size = 1>(x, w, r)  y = Relu(h) })",
                                remove_unused_outputs, 1);
  CHECK(node_list(lstm) == "a, h = LSTM(x, w, r); y = Relu(h)");
}

TEST_CASE("remove_unused_outputs: outputs that are read, and those that a split needs, stay") {
  check_pass(kHead + R"((float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] indices)
{ p, indices = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)  y = Relu(p) })",
             remove_unused_outputs, 0);
  check_pass(kHead + R"((float[4] x) => (float[2] y)
{ a, b = Split(x)  y = Relu(a) })",
             remove_unused_outputs, 0);
}

}  // namespace lathe
