#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "pass_check.h"

#include "doctest_after_torch.h"

namespace lathe::test {
namespace {

const std::string kTable = "int8[3,2] w = {1, -2, 3, 4, -5, 6}, ";

}  // namespace

TEST_CASE("gather_integers: one scale, or one a column, expands what was gathered alone") {
  const Graph one = check_pass(kHead + "(int64[2,2] i) => (float[2,2,2] y) <" + kTable +
                                   R"(float s = {0.5}, int8 z = {1}>
{ d = DequantizeLinear(w, s, z)  y = Gather(d, i) })",
                               gather_integers, 1, 0);
  CHECK(count_of(one, OpKind::kCast) == 0);
  const Graph columns = check_pass(kHead + "(int64[2,2] i) => (float[2,2,2] y) <" + kTable +
                                       R"(float[2] s = {0.5, 2}, int8[2] z = {1, 0}>
{ d = DequantizeLinear<axis = -1>(w, s, z)  y = Gather<axis = 0>(d, i) })",
                                   gather_integers, 1, 0);
  for (const NodeId id : columns.node_ids()) {
    const Node& node = columns.node(id);
    if (node.kind != OpKind::kDequantizeLinear || columns.constant(node.input(0)) != nullptr)
      continue;
    CHECK(node.attributes.int_or("axis", 1) == 2);
    CHECK(columns.value(node.outputs[0]).name == "y");
  }
}

TEST_CASE("gather_integers: a row brings its scale along, gathered over any axis") {
  const Graph rows = check_pass(kHead + "(int64[2,2] i) => (float[2,2,2] y) <" + kTable +
                                    R"(float[3] s = {0.5, 2, 0.1}, int8[3] z = {0, 0, 0}>
{ d = DequantizeLinear<axis = 0>(w, s, z)  y = Gather(d, i) })",
                                gather_integers, 1, 0);
  CHECK(count_of(rows, OpKind::kGather) == 2);
  CHECK(count_of(rows, OpKind::kMul) == 1);
  check_pass(kHead + "(int64[2] i) => (float[3,2] y) <" + kTable + R"(float[2] s = {0.5, 2}>
{ d = DequantizeLinear<axis = 1>(w, s)  y = Gather<axis = 1>(d, i) })",
             gather_integers, 1, 0);
  check_pass(kHead + "(int64 i) => (float[2] y) <" + kTable + R"(float[3] s = {0.5, 2, 4}>
{ d = DequantizeLinear<axis = 0>(w, s)  y = Gather(d, i) })",
             gather_integers, 1, 0);
}

TEST_CASE(
    "gather_integers: other readers, rows with zero points, blocks and computed scales stay") {
  const auto stays = [](const std::string& head, const std::string& body) {
    check_pass(kHead + head + "<" + kTable + body, gather_integers, 0);
  };
  stays("(int64[2] i) => (float[2,2] y, float[3,2] n) ", R"(float s = {0.5}>
{ d = DequantizeLinear(w, s)  y = Gather(d, i)  n = Neg(d) })");
  stays("(int64[2] i) => (float[2,2] y) ", R"(float[3] s = {0.5, 2, 1}, int8[3] z = {0, 1, 0}>
{ d = DequantizeLinear<axis = 0>(w, s, z)  y = Gather(d, i) })");
  stays("(int64[2] i, float s) => (float[2,2] y) ", R"(int8 z = {0}>
{ d = DequantizeLinear(w, s, z)  y = Gather(d, i) })");
}

}  // namespace lathe::test
