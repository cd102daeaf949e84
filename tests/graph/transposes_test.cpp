#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "pass_check.h"
#include "recognize/permutation.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::kHead;
using test::node_list;

namespace {

std::vector<int64_t> perm_of(const Graph& graph, const char* output) {
  const NodeId id = graph.value(graph.find_value(output)).producer;
  return graph.node(id).attributes.ints_or("perm", {});
}

}  // namespace

TEST_CASE("fuse_consecutive_transposes: two become one") {
  const Graph after = check_pass(kHead + R"((float[2,3,4] x) => (float[4,2,3] y)
{ t = Transpose<perm = [1, 2, 0]>(x)  y = Transpose<perm = [1, 2, 0]>(t) })",
                                 fuse_consecutive_transposes, 1);
  CHECK(node_list(after) == "y = Transpose(x)");
  CHECK(perm_of(after, "y") == std::vector<int64_t>{2, 0, 1});
}

TEST_CASE("fuse_consecutive_transposes: two that cancel vanish, the output keeps its name") {
  const Graph after = check_pass(kHead + R"((float[2,3,4] x) => (float[2,3,4] y)
{ r = Relu(x)  t = Transpose<perm = [1, 2, 0]>(r)  y = Transpose<perm = [2, 0, 1]>(t) })",
                                 fuse_consecutive_transposes, 1);
  CHECK(node_list(after) == "y = Relu(x)");
}

TEST_CASE("fuse_consecutive_transposes: default permutations, a first that others read stays") {
  const Graph after = check_pass(kHead + R"((float[2,3,4] x) => (float[2,3,4] y, float[4,3,2] z)
{ t = Transpose(x)  u = Transpose(t)  y = Relu(u)  z = Abs(t) })",
                                 fuse_consecutive_transposes, 1);
  CHECK(node_list(after) == "t = Transpose(x); y = Relu(x); z = Abs(t)");
}

TEST_CASE("fuse_consecutive_transposes: near misses stay") {
  check_pass(kHead + R"((float[2,3] x) => (float[2,3] y)
{ t = Transpose<perm = [1, 0]>(x)  r = Relu(t)  y = Transpose<perm = [1, 0]>(r) })",
             fuse_consecutive_transposes, 0);
}

TEST_CASE("untransposed: a constant of lower rank is aligned to the right") {
  const Tensor tensor = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor moved = untransposed(tensor, {2, 0, 1});
  // Result axis 2, 0, 1 is full axis 0, 1, 2 of [1,2,3].
  CHECK(moved.identical(Tensor::of<float>({2, 3, 1}, {1, 2, 3, 4, 5, 6})));
  CHECK(untransposed(tensor, {1, 0}).identical(Tensor::of<float>({3, 2}, {1, 4, 2, 5, 3, 6})));
}

TEST_CASE("push_transposes: unary and binary nodes between two that cancel") {
  const Graph after = check_pass(kHead + R"((float[1,2,3,4] x) => (float[1,2,3,4] y)
<float[4,2] k = {1, 2, 3, 4, 5, 6, 7, 8}, float s = {3}>
{ t = Transpose<perm = [0, 2, 3, 1]>(x)  r = Relu(t)  a = Add(r, k)  g = Sigmoid(a)
  m = Mul(a, g)  d = Div(s, m)  y = Transpose<perm = [0, 3, 1, 2]>(d) })",
                                 push_transposes, 1);
  CHECK(count_of(after, OpKind::kTranspose) == 0);
  CHECK(node_list(after) ==
        "r_untransposed = Relu(x); a_untransposed = Add(r_untransposed, k_permuted); "
        "g_untransposed = Sigmoid(a_untransposed); "
        "m_untransposed = Mul(a_untransposed, g_untransposed); y = Div(s, m_untransposed)");
}

TEST_CASE("push_transposes: two that meet become one, with another permutation") {
  const Graph after = check_pass(kHead + R"((float[2,3,4] x) => (float[4,2,3] y)
{ t = Transpose<perm = [1, 2, 0]>(x)  r = Relu(t)  y = Transpose<perm = [1, 2, 0]>(r) })",
                                 push_transposes, 1);
  CHECK(node_list(after) == "r_untransposed = Relu(x); y = Transpose(r_untransposed)");
  CHECK(perm_of(after, "y") == std::vector<int64_t>{2, 0, 1});
}

TEST_CASE("push_transposes: equally transposed partners join into one behind") {
  const Graph after = check_pass(kHead + R"((float[2,3,4] x, float[1,3,4] z) => (float[4,2,3] y)
{ a = Transpose<perm = [2, 0, 1]>(x)  b = Transpose<perm = [2, 0, 1]>(z)  s = Sub(a, b)
  y = Softmax<axis = 0>(s) })",
                                 push_transposes, 1);
  CHECK(node_list(after) ==
        "s_untransposed = Sub(x, z); s = Transpose(s_untransposed); y = Softmax(s)");
}

TEST_CASE("push_transposes: a graph output inside the region keeps name and layout") {
  const Graph after = check_pass(kHead + R"((float[2,3] x, float[2,3] z)
 => (float[2,3] y, float[3,2] r)
{ t = Transpose(x)  u = Transpose(z)  r = Add(t, u)  e = Exp(r)  y = Transpose(e) })",
                                 push_transposes, 1);
  CHECK(count_of(after, OpKind::kTranspose) == 1);
}

TEST_CASE("push_transposes: near misses stay") {
  SUBCASE("nothing to meet") {
    check_pass(kHead + R"((float[2,3] x) => (float[3,2] y) { t = Transpose(x)  y = Relu(t) })",
               push_transposes, 0);
  }
  SUBCASE("the first is read elsewhere and the second does not cancel") {
    check_pass(kHead + R"((float[2,3,4] x) => (float[4,2,3] y, float[3,4,2] z)
{ t = Transpose<perm = [1, 2, 0]>(x)  r = Relu(t)  y = Transpose<perm = [1, 2, 0]>(r)
  z = Softmax(t) })",
               push_transposes, 0);
  }
  SUBCASE("a node between is not elementwise") {
    check_pass(kHead + R"((float[2,3] x) => (float[2,3] y)
{ t = Transpose(x)  r = Softmax(t)  y = Transpose(r) })",
               push_transposes, 0);
  }
  SUBCASE("a partner in another layout") {
    check_pass(kHead + R"((float[3,3] x, float[3,3] z) => (float[3,3] y)
{ t = Transpose(x)  r = Add(t, z)  y = Transpose(r) })",
               push_transposes, 0);
  }
  SUBCASE("a Transpose inside the region is no way in") {
    check_pass(kHead + R"((float[3,3] x) => (float[3,3] y)
{ t = Transpose(x)  r = Relu(t)  u = Transpose(r)  a = Add(r, u)  y = Softmax(a) })",
               push_transposes, 1);
  }
}

TEST_CASE("push_transposes: inside the body of an If") {
  check_pass(kHead + R"((float[2,3] x) => (float[2,3] y)
<int64 one = {1}>
{ n = Size(x)  c = Greater(n, one)
  y = If(c) <then_branch = a () => (float[2,3] p)
              { t = Transpose(x)  r = Relu(t)  p = Transpose(r) },
             else_branch = b () => (float[2,3] q) { q = Abs(x) }> })",
             push_transposes, 1);
}

}  // namespace lathe
