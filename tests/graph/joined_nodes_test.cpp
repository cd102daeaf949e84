// Neighbours and siblings that become one node.
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

std::vector<int64_t> input_of(const Graph& graph, const char* output, size_t index) {
  const Node& node = graph.node(graph.value(graph.find_value(output)).producer);
  return graph.constant(node.inputs[index])->to_int64();
}

}  // namespace

TEST_CASE("fuse_consecutive_slices: other axes, each reader takes it in") {
  const Graph after = check_pass(kHead + R"((float[2,N,6] x) => (float[2,A,3] y, float[2,B,3] z)
<int64[1] one = {1}, int64[1] far = {9223372036854775807}, int64[1] zero = {0}, int64[1] two = {2}>
{ a = Slice(x, one, far, one)  y = Slice(a, zero, far, two, two)  z = Slice(a, one, far, two, two) })",
                                 fuse_consecutive_slices, 1);
  CHECK(after.node_count() == 2);
  CHECK(input_of(after, "z", 1) == std::vector<int64_t>{1, 1});
  CHECK(input_of(after, "z", 3) == std::vector<int64_t>{1, 2});
  CHECK(input_of(after, "z", 4) == std::vector<int64_t>{1, 2});
}

TEST_CASE("fuse_consecutive_slices: one axis of known size") {
  const auto fused = [](const std::string& first, const std::string& second) {
    return check_pass(kHead + R"((float[20] x) => (float[A] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3},
 int64[1] last = {-1}, int64[1] back = {-3}, int64[1] far = {100}, int64[1] nine = {9}>
{ a = Slice(x, )" + first +
                          ")  y = Slice(a, " + second + ") }",
                      fuse_consecutive_slices, 1);
  };
  fused("one, far, zero, two", "one, last, zero, three");
  fused("three, last, zero, one", "two, nine, zero, two");
  fused("two, nine, zero, three", "back, far, zero, one");
  CHECK(input_of(fused("one, far, zero, two", "one, last, zero, three"), "y", 1)[0] == 3);
}

TEST_CASE("fuse_consecutive_slices: near misses stay") {
  SUBCASE("one axis of unknown size") {
    check_pass(kHead + R"((float[N] x) => (float[A] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] far = {100}>
{ a = Slice(x, one, far, zero)  y = Slice(a, one, far, zero) })",
               fuse_consecutive_slices, 0);
  }
  SUBCASE("the first is read elsewhere") {
    check_pass(kHead + R"((float[4,4] x) => (float[3,3] y, float[3,4] z)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] far = {100}>
{ a = Slice(x, one, far, zero)  y = Slice(a, one, far, one)  z = Exp(a) })",
               fuse_consecutive_slices, 0);
  }
  SUBCASE("backwards on one axis") {
    check_pass(kHead + R"((float[8] x) => (float[A] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] far = {100}, int64[1] back = {-1},
 int64[1] low = {-100}>
{ a = Slice(x, back, low, zero, back)  y = Slice(a, one, far, zero) })",
               fuse_consecutive_slices, 0);
  }
}

TEST_CASE("fuse_consecutive_concats: inner parts and empty constants") {
  const Graph after = check_pass(kHead + R"((float[2,3] x, float[2,1] z) => (float[2,7] y)
<float[2,0] none = {}>
{ a = Concat<axis = -1>(x, z)  y = Concat<axis = 1>(a, none, x) })",
                                 fuse_consecutive_concats, 1);
  CHECK(node_list(after) == "y = Concat(x, z, x)");
}

TEST_CASE("fuse_consecutive_concats: near misses stay") {
  SUBCASE("another axis") {
    check_pass(kHead + R"((float[2,3] x, float[2,3] z) => (float[4,6] y)
{ a = Concat<axis = 0>(x, z)  y = Concat<axis = 1>(a, a) })",
               fuse_consecutive_concats, 0);
  }
  SUBCASE("read twice") {
    check_pass(kHead + R"((float[2,3] x, float[2,3] z) => (float[2,12] y)
{ a = Concat<axis = 1>(x, z)  y = Concat<axis = 1>(a, a) })",
               fuse_consecutive_concats, 0);
  }
}

TEST_CASE("fuse_constant_chains: sums and products in every order") {
  const auto fused = [](const std::string& body) {
    return node_list(check_pass(kHead + R"((float[2,3] x) => (float[2,3] y)
<float two = {2}, float[3] row = {1, 3, 4}, float[2,1] column = {5, 6}>
{ )" + body + " }",
                                fuse_constant_chains, 1));
  };
  CHECK(fused("a = Mul(x, two)  y = Mul(a, row)") == "y = Mul(x, y_constant)");
  CHECK(fused("a = Mul(row, x)  y = Div(a, two)") == "y = Mul(x, y_constant)");
  CHECK(fused("a = Div(x, row)  y = Div(a, two)") == "y = Mul(x, y_constant)");
  CHECK(fused("a = Div(two, x)  y = Mul(a, row)") == "y = Div(y_constant, x)");
  CHECK(fused("a = Div(two, x)  y = Div(row, a)") == "y = Mul(x, y_constant)");
  CHECK(fused("a = Add(x, two)  y = Add(row, a)") == "y = Add(x, y_constant)");
  CHECK(fused("a = Sub(two, x)  y = Add(a, row)") == "y = Sub(y_constant, x)");
  CHECK(fused("a = Sub(x, two)  y = Sub(a, column)") == "y = Add(x, y_constant)");
}

TEST_CASE("fuse_constant_chains: near misses stay") {
  const auto untouched = [](const std::string& body) {
    check_pass(kHead + R"((float[2,3] x, int64[3] i) => (float[2,3] y, int64[3] j)
<float two = {2}, float[3] row = {1, 3, 4}, float[2,1] column = {5, 6}, float far = {1e6},
 float back = {-1e6}, float huge = {1e30}, int64 n = {7}>
{ )" + body + " }",
               fuse_constant_chains, 0);
  };
  untouched("a = Mul(x, two)  y = Add(a, row)  j = Identity(i)");
  untouched("a = Add(x, far)  y = Add(a, back)  j = Identity(i)");
  untouched("a = Mul(x, row)  y = Mul(a, column)  j = Identity(i)");
  untouched("a = Mul(x, huge)  y = Div(a, huge)  j = Identity(i)");
  untouched("y = Mul(x, two)  k = Div(i, n)  j = Mul(k, n)");
  check_pass(kHead + R"((float[3] x) => (float[3] y, float[3] z)
<float two = {2}> { a = Mul(x, two)  y = Mul(a, two)  z = Exp(a) })",
             fuse_constant_chains, 0);
}

TEST_CASE("merge_parallel_matmuls: projections of one value") {
  const std::string constants = R"(
<float[2,2] q = {1, 2, 3, 4}, float[2,3] k = {5, 6, 7, 8, 9, 10}, float[2,1] v = {-1, 2},
 float[2] a = {1, -1}, float[3] b = {1, 2, 3}, float[1] c = {7}>)";
  const Graph plain =
      check_pass(kHead + R"((float[N,4,2] x)
 => (float[N,4,2] y, float[N,4,3] z, float[N,4,1] w))" +
                     constants + "{ y = MatMul(x, q)  z = MatMul(x, k)  w = MatMul(x, v) }",
                 merge_parallel_matmuls, 1);
  CHECK(node_list(plain) == "y_product = MatMul(x, q_joined); y, z, w = Split(y_product, y_sizes)");
  const Graph biased = check_pass(kHead + R"((float[N,4,2] x)
 => (float[N,4,2] y, float[N,4,3] z))" +
                                      constants + R"({ m = MatMul(x, q)  y = Add(a, m)
  n = MatMul(x, k)  z = Add(n, b) })",
                                  merge_parallel_matmuls, 1);
  CHECK(node_list(biased) ==
        "y_product = MatMul(x, q_joined); y_joined = Add(y_product, a_joined); "
        "y, z = Split(y_joined, y_sizes)");
}

TEST_CASE("merge_parallel_matmuls: near misses stay") {
  SUBCASE("two without bias: nothing is won") {
    check_pass(kHead + R"((float[4,2] x) => (float[4,2] y, float[4,2] z)
<float[2,2] q = {1, 2, 3, 4}, float[2,2] k = {5, 6, 7, 8}>
{ y = MatMul(x, q)  z = MatMul(x, k) })",
               merge_parallel_matmuls, 0);
  }
  SUBCASE("other sources") {
    check_pass(kHead + R"((float[4,2] x, float[4,2] o) => (float[4,2] y, float[4,2] z, float[4,2] w)
<float[2,2] q = {1, 2, 3, 4}>
{ y = MatMul(x, q)  z = MatMul(o, q)  e = Exp(x)  w = MatMul(e, q) })",
               merge_parallel_matmuls, 0);
  }
  SUBCASE("weights that are computed") {
    check_pass(kHead + R"((float[4,2] x, float[2,2] q) => (float[4,2] y, float[4,2] z, float[4,2] w)
{ k = Exp(q)  v = Neg(q)  y = MatMul(x, q)  z = MatMul(x, k)  w = MatMul(x, v) })",
               merge_parallel_matmuls, 0);
  }
}

}  // namespace lathe
