#include "graph/graph_passes.h"
#include "pass_check.h"
#include "qdq/qdq.h"

#include <doctest/doctest.h>

namespace lathe {
namespace {

using test::check_pass;
using test::graph_of;

// Channel 1 of 3 is the bias alone, 2 after Relu.
std::string two_layers(const std::string& pads, const std::string& bias,
                       const std::string& second = "Conv<pads = [PADS]>(r, v, d)",
                       const std::string& output = "y") {
  std::string text = R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,4,4] x) => (float[1,2,H,W] OUT)
<float[3,2,1,1] w = {1.0, -2.0, 0, 0, -1.0, 0.25}, float[3] b = {0.5, BIAS, 2.0},
 float[2,3,3,3] v = {0.5, 1, -1, 2, 3, -0.5, 1, 1, 1, 0.25, 1, 2, 3, -4, 5, 1, 1, 2, 1, 0, 1, 2, 0.5, 1, 3, 1, 2,
                     1, 2, -1, 2, 1, -0.5, 2, 1, 1, 1.25, 1, 2, -3, -4, 5, 2, 1, 2, 0, 0, 1, 2, 2.5, 1, 3, 1, 2},
 float[2] d = {0.5, -1.5}>
{ c = Conv(x, w, b)  r = Relu(c)  y = SECOND })";
  const auto put = [&](const std::string& name, const std::string& value) {
    for (size_t at = text.find(name); at != std::string::npos; at = text.find(name))
      text.replace(at, name.size(), value);
  };
  put("SECOND", second);
  put("BIAS", bias);
  put("PADS", pads);
  put("OUT", output);
  put("H,W", pads == "0, 0, 0, 0" ? "2,2" : "4,4");
  return text;
}

int64_t channels_of(const Graph& graph) {
  for (const NodeId id : graph.order())
    if (graph.node(id).kind == OpKind::kConv || graph.node(id).kind == OpKind::kGemm)
      return (*graph.value(graph.node(id).output(0)).type.dims)[1].size;
  return -1;
}

}  // namespace

TEST_CASE("remove_constant_channels: what a channel adds goes into the next bias") {
  const Graph after = check_pass(two_layers("0, 0, 0, 0", "2"), remove_constant_channels, 1);
  CHECK(channels_of(after) == 2);
}

TEST_CASE("remove_constant_channels: padding forbids a constant that is not zero") {
  check_pass(two_layers("1, 1, 1, 1", "2"), remove_constant_channels, 0);
  const Graph after = check_pass(two_layers("1, 1, 1, 1", "-2"), remove_constant_channels, 1);
  CHECK(channels_of(after) == 2);
}

TEST_CASE("remove_constant_channels: without a bias only zeros may go") {
  const std::string second = "Conv<pads = [PADS]>(r, v)";
  check_pass(two_layers("0, 0, 0, 0", "2", second), remove_constant_channels, 0);
  check_pass(two_layers("0, 0, 0, 0", "-2", second), remove_constant_channels, 1);
}

TEST_CASE("remove_constant_channels: a value that others read keeps its channels") {
  std::string text = two_layers("1, 1, 1, 1", "-2");
  check_pass(text.replace(text.find("(float[1,2,4,4] y)"), 18, "(float[1,2,4,4] y, float[1,3,4,4] r)"),
             remove_constant_channels, 0);
}

TEST_CASE("remove_constant_channels: of constant channels alone one stays") {
  const Graph after = check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,2,2,2] x) => (float[1,1,2,2] y)
<float[2,2,1,1] w = {0, 0, 0, 0}, float[2] b = {1, 2}, float[1,2,1,1] v = {3, 4}, float[1] d = {5}>
{ c = Conv(x, w, b)  y = Conv(c, v, d) })",
                                 remove_constant_channels, 1);
  CHECK(channels_of(after) == 1);
}

TEST_CASE("remove_constant_channels: through pools and Flatten into a Gemm, and between Gemms") {
  for (const char* rest :
       {"f = Flatten(p)  y = Gemm(f, v, d)", "f = Reshape(p, to)  y = Gemm(f, v, d)",
        "f = Flatten(p)  y = Gemm<transB = 1>(f, t, d)"}) {
    CAPTURE(rest);
    const Graph after = check_pass(std::string(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2,2,4,4] x) => (float[2,2] y)
<float[3,2,3,3] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9, 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0, 1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0},
 float[3] b = {0.5, 1.5, 2.0}, float[3,2] v = {1, 2, 3, 4, 5, 6}, float[2,3] t = {1, 3, 5, 2, 4, 6}, float[2] d = {1, -1},
 int64[2] to = {2, 3}>
{ c = Conv<pads = [1, 1, 1, 1]>(x, w, b)  r = Relu(c)  m = MaxPool<kernel_shape = [2, 2]>(r)
  p = GlobalAveragePool(m)  )") + rest + " }",
                                   remove_constant_channels, 1);
    CHECK(channels_of(after) == 2);
  }
  check_pass(R"(<ir_version: 8, opset_import: ["" : 17]>
agraph (float[2,2] x) => (float[2,2] y)
<float[2,3] w = {1, 0, 2, 3, 0, 4}, float[3] b = {1, 2, 3}, float[3,2] v = {1, 2, 3, 4, 5, 6}, float[2] d = {1, -1}>
{ c = Gemm(x, w, b)  r = Relu(c)  y = Gemm(r, v, d) })",
             remove_constant_channels, 1);
}

// Integers: channel 1 of the first layer never leaves the low end of its grid, channel 2 has no
// weights; between them a depthwise layer whose channel 3 has none.
TEST_CASE("remove_constant_channels: integers stay what they were, saturated channels go, too") {
  const std::string text = R"(<ir_version: 8, opset_import: ["" : 13]>
agraph (uint8[1,2,3,3] x) => (uint8[1,2,3,3] y)
<float s = {0.51}, uint8 z = {10}, float t = {0.23}, uint8 u = {0}, float o = {0.1973}, float h = {0.2117},
 int8[4,2,1,1] w = {5, -3, 1, 2, 0, 0, 7, 9}, float[4] ws = {0.1, 0.2, 0.1, 0.3}, int8[4] wz = {0, 0, 0, 0},
 int32[4] b = {100, -9000, -40, 60}, float[4] bs = {0.051, 0.102, 0.051, 0.153}, int32[4] bz = {0, 0, 0, 0},
 int8[4,1,3,3] k = {1,2,3,4,5,4,3,2,1, 1,1,1,1,1,1,1,1,1, 2,2,2,2,2,2,2,2,2, 0,0,0,0,0,0,0,0,0}, float[4] ks = {0.1, 0.1, 0.1, 0.1},
 int32[4] a = {20, 30, 40, 500}, float[4] as = {0.023, 0.023, 0.023, 0.023},
 int8[2,4,1,1] v = {3, -5, 7, 9, 11, 2, -4, 6}, float[2] vs = {0.2, 0.1}, int8[2] vz = {0, 0},
 int32[2] d = {7, -8}, float[2] ds = {0.04234, 0.02117}, int32[2] dz = {0, 0}>
{ xf = DequantizeLinear(x, s, z)
  wf = DequantizeLinear<axis = 0>(w, ws, wz)  bf = DequantizeLinear<axis = 0>(b, bs, bz)
  c = Conv(xf, wf, bf)  cq = QuantizeLinear(c, t, u)  cf = DequantizeLinear(cq, t, u)
  kf = DequantizeLinear<axis = 0>(k, ks, wz)  af = DequantizeLinear<axis = 0>(a, as, bz)
  e = Conv<group = 4, pads = [1, 1, 1, 1]>(cf, kf, af)  eq = QuantizeLinear(e, h, u)  ef = DequantizeLinear(eq, h, u)
  vf = DequantizeLinear<axis = 0>(v, vs, vz)  df = DequantizeLinear<axis = 0>(d, ds, dz)
  f = Conv(ef, vf, df)  y = QuantizeLinear(f, o, u) })";
  const Graph before = graph_of(text);
  const Graph after = check_pass(text, remove_constant_channels, 1, 0);
  // What is left is channel 0: 1 and 2 are 0 (and then their depthwise bias), 3 is about 11.5. (No grid
  // is a multiple of another: a tie would fall as the order of sums has it.)
  CHECK(channels_of(after) == 1);
  for (uint64_t seed = 1; seed < 20; ++seed) {
    const auto a = test::run_seeded(before, seed);
    const auto b = test::run_seeded(after, seed);
    CHECK(std::ranges::equal(a[0].bytes(), b[0].bytes()));
  }
  // The biases are integers still.
  for (const NodeId id : after.node_ids())
    if (after.node(id).kind == OpKind::kConv) {
      const Node* dq = dequantizer(after, after.node(id).input(2));
      REQUIRE(dq != nullptr);
      CHECK(after.constant(dq->input(0))->dtype() == DType::kInt32);
    }
}

}  // namespace lathe
