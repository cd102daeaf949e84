#include <algorithm>
#include <bit>
#include <limits>

#include "graph/graph_passes.h"
#include "graph/node_list.h"
#include "graph/optimize_graph.h"
#include "pass_check.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_pass;
using test::graph_of;
using test::kHead;
using test::node_list;

namespace {

constexpr float kDenormal = 1e-40F;
constexpr float kLeast = std::numeric_limits<float>::denorm_min();
constexpr float kLeastNormal = std::numeric_limits<float>::min();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// `text` with other numbers in constant `name`.
Graph with_numbers(const std::string& text, const std::string& name,
                   const std::vector<float>& numbers) {
  Graph graph = graph_of(kHead + text);
  const ValueId id = graph.find_value(name);
  graph.set_constant(id, Tensor::of(graph.constant(id)->shape(), numbers));
  return graph;
}

std::vector<uint32_t> bits_of(const Graph& graph, const std::string& name) {
  std::vector<uint32_t> bits;
  for (const float value : graph.constant(graph.find_value(name))->values<float>())
    bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

}  // namespace

TEST_CASE("flush_denormal_constants: zeros in their place, all other bits stay") {
  const Graph before = with_numbers(
      R"((float[1,2] x) => (float[1,3] y) <float[2,3] w = {1, 2, 3, 4, 5, 6}>
{ y = MatMul(x, w) })",
      "w", {kDenormal, -kDenormal, kLeastNormal, -kLeast, -0.0F, 2});
  const Graph after = check_pass(before, flush_denormal_constants, 1);
  CHECK(node_list(after) == "y = MatMul(x, w)");
  CHECK(bits_of(after, "w") ==
        std::vector<uint32_t>{0, 0x80000000, 0x00800000, 0x80000000, 0x80000000, 0x40000000});
  // Graphs share their constants.
  CHECK(bits_of(before, "w")[0] == std::bit_cast<uint32_t>(kDenormal));
}

TEST_CASE("flush_denormal_constants: every constant of the graph and of bodies") {
  Graph before = with_numbers(R"((float[2] x, bool c) => (float[2] y) <float[2] k = {1, 2}>
{ h = Mul(x, k)
  y = If(c) <then_branch = a () => (float[2] r) <float[2] m = {1, 2}> { r = Mul(h, m) },
             else_branch = b () => (float[2] q) { q = Abs(h) }> })",
                              "k", {kDenormal, 1});
  for (const NodeId id : before.node_ids())
    for (Subgraph& subgraph : before.edit(id).subgraphs)
      if (const ValueId m = subgraph.graph().find_value("m"); m.valid())
        subgraph.graph().set_constant(m, Tensor::vector<float>({3, kLeast}));
  Graph after = before;
  CHECK(flush_denormal_constants(after) == 2);
  CHECK(flush_denormal_constants(after) == 0);
  CHECK(bits_of(after, "k")[0] == 0);
}

TEST_CASE("flush_denormal_constants: near misses stay") {
  const std::string product = R"((float[3] x) => (float[3] y) <float[3] k = {1, 2, 3}>
{ y = Mul(x, k) })";
  SUBCASE("the smallest normal numbers, zeros, what is no number") {
    Graph graph = with_numbers(product, "k", {kLeastNormal, -0.0F, kInfinity});
    CHECK(flush_denormal_constants(graph) == 0);
    graph = with_numbers(product, "k", {-kLeastNormal, 0, std::bit_cast<float>(0x7fc00001)});
    CHECK(flush_denormal_constants(graph) == 0);
  }
  SUBCASE("a single number") {
    check_pass(with_numbers(R"((float[3] x) => (float[3] y) <float k = {1}> { y = Add(x, k) })",
                            "k", {kDenormal}),
               flush_denormal_constants, 0);
  }
  SUBCASE("a divisor") {
    Graph graph = with_numbers(R"((float[3] x) => (float[3] y) <float[3] k = {1, 2, 3}>
{ y = Div(x, k) })",
                               "k", {1, kDenormal, 2});
    CHECK(flush_denormal_constants(graph) == 0);
  }
  SUBCASE("an output of the graph") {
    Graph graph = with_numbers(R"((float[3] x) => (float[3] y, float[3] k)
<float[3] k = {1, 2, 3}> { y = Mul(x, k) })",
                               "k", {1, kDenormal, 2});
    CHECK(flush_denormal_constants(graph) == 0);
  }
  SUBCASE("another type") {
    Graph graph = graph_of(kHead + R"((double[2] x) => (double[2] y) <double[2] k = {1, 2}>
{ y = Mul(x, k) })");
    graph.set_constant(graph.find_value("k"), Tensor::vector<double>({1e-310, 1e-40}));
    CHECK(flush_denormal_constants(graph) == 0);
  }
}

TEST_CASE("optimize_graph flushes constants once, may be told not to, and rounds nothing by it") {
  const std::string text = R"((float[1,2] x) => (float[1,2] y)
<float[2,2] w = {1, 2, 3, 4}, float[2,2] v = {1, 2, 3, 4}>
{ a = MatMul(x, w)  y = MatMul(a, v) })";
  // Different constants, but for the numbers that go.
  Graph before = with_numbers(text, "w", {1, kDenormal, 3, 4});
  before.set_constant(before.find_value("v"), Tensor::of<float>({2, 2}, {1, kLeast, 3, 4}));
  const auto flushes = [](const Pipeline& pipeline) {
    int changes = 0;
    for (const PipelineStep& step : pipeline.steps())
      if (step.pass == "flush_denormal_constants") changes += step.changes;
    return changes;
  };
  Graph after = before;
  Pipeline pipeline(after);
  optimize_graph(after, pipeline);
  CHECK(flushes(pipeline) == 2);
  CHECK(node_list(after) == "a = MatMul(x, w); y = MatMul(a, w)");
  CHECK_FALSE(is_arithmetic_pass("flush_denormal_constants"));
  Pipeline again(after);
  optimize_graph(after, again);
  CHECK(flushes(again) == 0);
  Graph kept = before;
  Pipeline without(kept, {.disabled = {"flush_denormal_constants"}, .dump = {}, .check = {}});
  optimize_graph(kept, without);
  CHECK(flushes(without) == 0);
  CHECK(bits_of(kept, "w")[1] == std::bit_cast<uint32_t>(kDenormal));
}

}  // namespace lathe
