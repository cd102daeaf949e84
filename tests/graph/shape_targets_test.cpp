#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "graph/symbolic_shapes.h"
#include "pass_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::count_of;
using test::kHead;
using test::node_list;

namespace {

// The constant target of the only Reshape or Expand that gives `output`.
std::vector<int64_t> target_of(const Graph& graph, const char* output) {
  const Node& node = graph.node(graph.value(graph.find_value(output)).producer);
  return graph.constant(node.inputs[1])->to_int64();
}

}  // namespace

TEST_CASE("symbolic_shapes: sizes that follow from one another have one name") {
  const Graph graph = test::graph_of(kHead + R"((float[N,3,4] x, float[M,5] z) => (float[A,B,C] y)
<float[4,7] w = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}>
{ m = MatMul(x, w)  y = Relu(m)  n = NonZero(z)  s = Shape(y) })");
  const SymbolicShapes shapes = symbolic_shapes(graph);
  const auto dims = [&](const char* name) { return *shapes.dims_of(graph.find_value(name)); };
  CHECK(dims("y")[0] == dims("x")[0]);
  CHECK(dims("y")[2] == Dim::of(7));
  CHECK(dims("x")[0] != dims("z")[0]);
  // What a node makes up has a name of its own.
  CHECK(!dims("n")[1].symbol.empty());
  CHECK((*shapes.elements_of(graph, graph.find_value("s")))[0].symbol == dims("x")[0].symbol);
}

TEST_CASE("symbolic_shapes: what a graph output declares is not believed") {
  const Graph graph = test::graph_of(kHead + R"((float[N,4] x, float[M,4] z) => (float[N,4] y)
{ y = Concat<axis = 0>(x, z) })");
  const SymbolicShapes shapes = symbolic_shapes(graph);
  CHECK((*shapes.dims_of(graph.find_value("y")))[0] != (*shapes.dims_of(graph.find_value("x")))[0]);
}

TEST_CASE("fold_reshape_targets: an axis that stays and one that is counted") {
  const Graph after = check_pass(kHead + R"((float[N,3,4] x) => (float[N,12] y, float[N,2,6] z)
<int64[1] minus = {-1}, int64[1] zero = {0}, int64[1] one = {1}, int64[2] rest = {2, 6}>
{ r = Relu(x)  s = Shape(r)  n = Slice(s, zero, one)  t = Concat<axis = 0>(n, minus)
  y = Reshape(x, t)  u = Concat<axis = 0>(n, rest)  z = Reshape(r, u) })",
                                 fold_reshape_targets, 2);
  CHECK(target_of(after, "y") == std::vector<int64_t>{0, -1});
  CHECK(target_of(after, "z") == std::vector<int64_t>{0, 2, 6});
}

TEST_CASE("fold_reshape_targets: through int32, and a size in another place") {
  const Graph after = check_pass(kHead + R"((float[N,4] x) => (float[2,N,2] y)
<int64[1] zero = {0}, int64[1] one = {1}, int32[1] two = {2}>
{ s = Shape(x)  c = Cast<to = 6>(s)  n = Slice(c, zero, one)  t = Concat<axis = 0>(two, n, two)
  l = Cast<to = 7>(t)  y = Reshape(x, l) })",
                                 fold_reshape_targets, 1);
  CHECK(target_of(after, "y") == std::vector<int64_t>{2, -1, 2});
}

TEST_CASE("fold_reshape_targets: Expand to what is there vanishes, the rest becomes constant") {
  const Graph after = check_pass(kHead + R"((float[N,1,4] x) => (float[N,1,4] y, float[N,3,4] z)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}, int64[2] ones = {1, 1}>
{ r = Relu(x)  s = Shape(r)  n = Slice(s, zero, one)  t = Concat<axis = 0>(n, ones)
  e = Expand(r, t)  y = Exp(e)  u = Concat<axis = 0>(n, three, one)  z = Expand(r, u) })",
                                 fold_reshape_targets, 2);
  CHECK(count_of(after, OpKind::kExpand) == 1);
  CHECK(target_of(after, "z") == std::vector<int64_t>{1, 3, 1});
}

TEST_CASE("fold_reshape_targets: near misses stay") {
  SUBCASE("two sizes are open") {
    check_pass(kHead + R"((float[N,M] x) => (float[M,N] y)
<int64[2] turn = {1, 0}>
{ s = Shape(x)  t = Gather(s, turn)  y = Reshape(x, t) })",
               fold_reshape_targets, 0);
  }
  SUBCASE("a target that is data") {
    Graph graph = test::graph_of(kHead + R"((float[N,4] x, int64[2] t) => (float[A,B] y)
{ y = Reshape(x, t) })");
    CHECK(fold_reshape_targets(graph) == 0);
  }
  SUBCASE("a 0 that is a size") {
    Graph graph = test::graph_of(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[N,0] x) => (float[N,0] y)
<int64[1] zero = {0}, int64[1] one = {1}>
{ s = Shape(x)  n = Slice(s, zero, one)  t = Concat<axis = 0>(n, zero)
  y = Reshape<allowzero = 1>(x, t) })");
    CHECK(fold_reshape_targets(graph) == 0);
  }
  SUBCASE("Expand to the size of another input") {
    check_pass(kHead + R"((float[A,4] x, float[B,4] z) => (float[C,4] y)
{ s = Shape(z)  y = Expand(x, s) })",
               fold_reshape_targets, 0);
  }
}

TEST_CASE("replace_trivial_transposes: axes of size 1 move for nothing beside a Reshape") {
  const Graph after = check_pass(kHead + R"((float[5,1,N,4] x) => (float[5,N,4] y)
<int64[1] two = {2}>
{ t = Transpose<perm = [0, 2, 1, 3]>(x)  y = Squeeze(t, two) })",
                                 replace_trivial_transposes, 1);
  CHECK(target_of(after, "t") == std::vector<int64_t>{5, -1, 1, 4});
}

TEST_CASE("replace_trivial_transposes: near misses stay") {
  SUBCASE("no Reshape beside it") {
    check_pass(kHead + R"((float[5,1,4] x) => (float[1,5,4] y)
{ t = Transpose<perm = [1, 0, 2]>(x)  y = Relu(t) })",
               replace_trivial_transposes, 0);
  }
  SUBCASE("an axis that may be longer") {
    check_pass(kHead + R"((float[5,N,4] x) => (float[A,4] y)
<int64[2] shape = {-1, 4}>
{ t = Transpose<perm = [1, 0, 2]>(x)  y = Reshape(t, shape) })",
               replace_trivial_transposes, 0);
  }
}

TEST_CASE("fuse_reduce_squeeze: the axes go at once") {
  const Graph after = check_pass(kHead + R"((float[N,3,4,5] x)
 => (float[N,3] y, float[N,3] z, float[N,3] v, float[N,4,5] u)
<int64[2] spatial = {2, 3}, int64[1] one = {1}, int64[2] flat = {0, -1}>
{ a = ReduceMean<axes = [2, 3]>(x)  y = Squeeze(a, spatial)
  b = ReduceMax<axes = [-1, -2]>(x)  z = Reshape(b, flat)
  c = ReduceMin<axes = [2, 3]>(x)  v = Flatten(c)
  d = ReduceSum(x, one)  u = Squeeze(d, one) })",
                                 fuse_reduce_squeeze, 4);
  CHECK(after.node_count() == 4);
}

TEST_CASE("fuse_reduce_squeeze: near misses stay") {
  SUBCASE("another axis of size 1 goes") {
    check_pass(kHead + R"((float[1,3,4] x) => (float[3,1] y)
<int64[1] zero = {0}>
{ a = ReduceMean<axes = [2]>(x)  y = Squeeze(a, zero) })",
               fuse_reduce_squeeze, 0);
  }
  SUBCASE("the shape is another") {
    check_pass(kHead + R"((float[2,6,4] x) => (float[3,4] y)
<int64[2] shape = {3, 4}>
{ a = ReduceMean<axes = [2]>(x)  y = Reshape(a, shape) })",
               fuse_reduce_squeeze, 0);
  }
  SUBCASE("the reduction is read elsewhere") {
    check_pass(kHead + R"((float[2,3,4] x) => (float[2,3] y, float[2,3,1] z)
<int64[1] two = {2}>
{ a = ReduceMean<axes = [2]>(x)  y = Squeeze(a, two)  z = Exp(a) })",
               fuse_reduce_squeeze, 0);
  }
}

}  // namespace lathe
