// What a graph says of quantization, read as ONNX means it.
#include "qdq/qdq.h"

#include <doctest/doctest.h>

#include <string>

#include "onnx/text_form.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

/// Of a text behind its head: constants, then nodes that make y of x.
Graph graph_of(const std::string& constants, const std::string& nodes) {
  Graph graph = parse_text(
                    "<ir_version: 8, opset_import: [\"\" : 17]>\n"
                    "g (float[1,3,4,4] x) => (float[1,3,4,4] y)\n<" +
                    constants + ">\n{" + nodes + "}")
                    .graph;
  infer_shapes(graph);
  return graph;
}

const Node& first(const Graph& graph, OpKind kind) {
  for (const NodeId id : graph.order())
    if (graph.node(id).kind == kind) return graph.node(id);
  FAIL("no such node");
  return graph.node(graph.order().front());
}

const std::string kPair = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)";

TEST_CASE("parameters for all: one scale, the zero point of the integers' type") {
  const Graph graph = graph_of("float s = {0.5}, uint8 z = {7}", kPair);
  for (const OpKind kind : {OpKind::kQuantizeLinear, OpKind::kDequantizeLinear}) {
    const auto params = constant_params(graph, first(graph, kind));
    REQUIRE(params);
    CHECK(params->scales == std::vector<float>{0.5F});
    CHECK(params->zero_points == std::vector<int32_t>{7});
    CHECK(params->dtype == DType::kUInt8);
    CHECK_FALSE(is_symmetric(*params));
  }
}

TEST_CASE("without a zero point it is 0, and integers are uint8") {
  const Graph graph =
      graph_of("float s = {0.5}", "q = QuantizeLinear(x, s) y = DequantizeLinear(q, s)");
  const auto params = constant_params(graph, first(graph, OpKind::kQuantizeLinear));
  REQUIRE(params);
  CHECK(params->dtype == DType::kUInt8);
  CHECK(is_symmetric(*params));
}

TEST_CASE("int8 is shifted by 128 to uint8; bounds saturate") {
  const Graph graph = graph_of("float s = {0.25}, int8 z = {-3}", kPair);
  const auto params = uint8_params(graph, first(graph, OpKind::kDequantizeLinear));
  REQUIRE(params);
  CHECK(params->zero_point == 125);
  CHECK(uint8_bound(0, *params) == 125);
  CHECK(uint8_bound(1, *params) == 129);
  CHECK(uint8_bound(1e9, *params) == 255);
  CHECK(uint8_bound(-1e9, *params) == 0);
}

TEST_CASE("scales of channels: the axis counts from the front or from the back") {
  for (const char* axis : {"1", "-3"}) {
    const std::string pair = std::string("q = QuantizeLinear <axis: int = ") + axis +
                             "> (x, s, z) y = DequantizeLinear <axis: int = " + axis +
                             "> (q, s, z)";
    const Graph graph = graph_of("float[3] s = {0.5, 1, 2}, int8[3] z = {0, 0, 0}", pair);
    const auto params = constant_params(graph, first(graph, OpKind::kDequantizeLinear));
    REQUIRE(params);
    CHECK(params->axis == 1);
    CHECK(params->scales.size() == 3);
    CHECK(is_symmetric(*params));
    CHECK_FALSE(uint8_params(graph, first(graph, OpKind::kDequantizeLinear)));  // one for all only
  }
}

TEST_CASE("computed scales are no constants, and tiny ones are of no use") {
  const Graph computed = graph_of(
      "float a = {0.5}, uint8 z = {0}",
      "m = ReduceMax <keepdims: int = 0> (x) s = Mul(a, m) q = QuantizeLinear(x, s, z) y = "
      "DequantizeLinear(q, s, z)");
  CHECK_FALSE(constant_params(computed, first(computed, OpKind::kQuantizeLinear)));
  const Graph tiny = graph_of("float s = {1e-35}, uint8 z = {0}", kPair);
  CHECK(constant_params(tiny, first(tiny, OpKind::kQuantizeLinear)));
  CHECK_FALSE(uint8_params(tiny, first(tiny, OpKind::kQuantizeLinear)));
}

TEST_CASE("a tail is one activation and a QuantizeLinear that nothing else reads beside") {
  const std::string constants = "float s = {0.5}, uint8 z = {0}";
  const Graph relu =
      graph_of(constants,
               "a = Abs(x) r = Relu(a) q = QuantizeLinear(r, s, z) y = DequantizeLinear(q, s, z)");
  const ValueId from = first(relu, OpKind::kAbs).output(0);
  const auto tail = quantized_tail(relu, from);
  REQUIRE(tail);
  CHECK(relu.node(tail->activation).kind == OpKind::kRelu);
  REQUIRE(tail->bounds);
  CHECK(tail->bounds->low == 0);
  CHECK(tail->integers == first(relu, OpKind::kQuantizeLinear).output(0));
  CHECK_FALSE(quantized_tail(relu, from, false));  // not through the activation
  const Graph read_twice =
      graph_of(constants,
               "a = Abs(x) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, "
               "s, z) y = Add(d, a)");
  CHECK_FALSE(quantized_tail(read_twice, first(read_twice, OpKind::kAbs).output(0)));
}

}  // namespace
}  // namespace lathe
