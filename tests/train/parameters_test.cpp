#include "train/parameters.h"
#include "run/run_text.h"
#include "train/gradient_path.h"
#include "zoo/zoo.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::graph_from;
using Names = std::vector<std::string>;

Names names_of(const Graph& graph) {
  Names names;
  for (const ParameterUse& use : find_parameters(graph))
    names.push_back(graph.value(use.constant).name);
  return names;
}

}  // namespace

TEST_CASE("parameters of the zoo's networks are what their sources count") {
  int checked = 0;
  for (const ZooNetwork& network : zoo_networks()) {
    if (network.parameters > 15'000'000) continue;  // seconds each
    const Graph graph = network.build(0).graph;
    int64_t count = 0;
    for (const ParameterUse& use : find_parameters(graph)) {
      // Keras trains one bias a gate; the other is there, and zero.
      const bool second = network.name == "lstm_autoencoder" && use.role == ParameterRole::kBias &&
                          graph.node(use.reader).kind == OpKind::kLSTM;
      count += graph.value(use.constant).constant->numel() / (second ? 2 : 1);
    }
    const std::string name(network.name);
    CAPTURE(name);
    CHECK(count == network.parameters);
    ++checked;
  }
  CHECK(checked >= 4);
}

TEST_CASE("weights, biases, scales, tables and slopes are parameters in order of execution") {
  const Graph graph = graph_from(R"(agraph (float[1, 2, 4, 4] x, int64[3] i) => (float[1, 3] y)
<float[3, 2, 1, 1] w = {1, 2, 3, 4, 5, 6}, float[3] b = {1, 2, 3},
 float[3] s = {1, 2, 3}, float[3] t = {0, 1, 0}, float[3] m = {0, 0, 1}, float[3] v = {1, 1, 2},
 float[3, 1, 1] slope = {0.1, 0.2, 0.3}, float[1, 3, 1, 1] scale = {1, 2, 3},
 float[2, 3] table = {1, 2, 3, 4, 5, 6}, float[3, 3] u = {1, 2, 3, 4, 5, 6, 7, 8, 9},
 float half = {0.5}, float[1] one = {1.5}>
{ c = Conv(x, w, b)  n = BatchNormalization(c, s, t, m, v)  p = PRelu(n, slope)
  q = Mul(scale, p)  g = GlobalAveragePool(q)  f = Flatten(g)
  e = Gather(table, i)  r = ReduceMean<axes = [0]>(e)  z = Add(f, r)
  h = Mul(z, half)  k = Add(h, one)  ut = Transpose(u)  y = MatMul(k, ut) })");
  CHECK(names_of(graph) == Names{"w", "b", "s", "t", "slope", "scale", "table", "u"});
  const auto found = find_parameters(graph);
  CHECK(found[0].role == ParameterRole::kWeight);
  CHECK(found[1].role == ParameterRole::kBias);
  CHECK(found[2].role == ParameterRole::kScale);
  CHECK(found[3].role == ParameterRole::kBias);
  CHECK(found[4].role == ParameterRole::kScale);
  CHECK(found[6].role == ParameterRole::kWeight);
}

TEST_CASE("what normalises an input, a grid of a detector and single numbers are none") {
  const Graph graph = graph_from(R"(agraph (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y)
<float[3, 1, 1] mean = {0.4, 0.5, 0.6}, float[3, 1, 1] bias = {1, 2, 3},
 float[1, 3, 2, 2] grid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float two = {2}>
{ a = Sub(x, mean)  b = Relu(a)  c = Add(b, bias)  d = Mul(c, two)  y = Add(d, grid) })");
  CHECK(names_of(graph) == Names{"bias"});
}

TEST_CASE("shared vectors get their own constants, shared matrices stay tied") {
  Graph graph = graph_from(R"(agraph (float[2, 3] x) => (float[2, 3] y)
<float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3] zero = {0, 0, 0}, float[3] one = {1, 1, 1}>
{ a = Gemm(x, w, zero)  b = BatchNormalization(a, one, zero, zero, one)  y = Gemm(b, w, zero) })");
  CHECK(names_of(graph).size() == 3);
  CHECK(separate_shared_constants(graph) == 4);
  CHECK(names_of(graph).size() == 5);  // w, three biases, one scale
  CHECK(separate_shared_constants(graph) == 0);
}

TEST_CASE("gradients are followed to the parameters and stop at ops without derivative") {
  const Graph graph = graph_from(R"(agraph (float[2, 3] x) => (float[2, 3] y)
<float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3, 3] u = {1, 2, 3, 4, 5, 6, 7, 8, 9},
 int64[2] shape = {2, 3}>
{ a = MatMul(x, w)  r = Round(a)  s = Shape(a)  q = Reshape(r, s)  y = MatMul(q, u) })");
  const ValueId w = graph.find_value("w"), u = graph.find_value("u");
  const std::vector<ValueId> both = {w, u};
  const GradientPath path = trace_gradients(graph, graph.outputs(), both);
  REQUIRE(path.unreached.size() == 1);
  CHECK(path.unreached[0].index == w.index);
  REQUIRE(path.stops.size() == 1);
  CHECK(graph.node(path.stops[0]).kind == OpKind::kRound);
  const std::vector<ValueId> before = {graph.find_value("a")};
  CHECK(trace_gradients(graph, before, std::vector<ValueId>{w}).unreached.empty());
}

}  // namespace lathe
