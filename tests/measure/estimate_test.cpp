#include "roofline/estimate.h"

#include <doctest/doctest.h>

#include "ops/op_row.h"

namespace lathe {
namespace {

Tensor zeros(DType dtype, Shape shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return Tensor::from_bytes(dtype, std::move(shape),
                            std::vector<std::byte>(static_cast<size_t>(dtype_bytes(dtype, count))));
}

ValueId input(Graph& graph, const char* name, Shape shape, DType dtype = DType::kFloat32) {
  return graph.add_input(name, tensor_type(dtype, dims_of(shape)));
}

ValueId op(Graph& graph, OpKind kind, const char* name, std::vector<ValueId> inputs) {
  Node node;
  node.kind = kind;
  node.name = name;
  node.inputs = std::move(inputs);
  node.outputs = {graph.add_value(std::string(name) + "_out")};
  const ValueId out = node.outputs[0];
  graph.add_node(std::move(node));
  return out;
}

DeviceRates slow_memory() {
  DeviceRates rates;
  rates.gops = {{"float32", 100}, {"int8", 400}};
  rates.memory = {{std::nullopt, 1}};
  return rates;
}

TEST_CASE("a layer takes the longer of arithmetic and traffic") {
  Graph graph;
  const ValueId x = input(graph, "x", {64, 128});
  const ValueId w = graph.add_constant("w", zeros(DType::kFloat32, {128, 256}));
  graph.set_outputs({op(graph, OpKind::kMatMul, "mul", {x, w})});
  infer_shapes(graph);
  const double macs = 64.0 * 128 * 256;
  const double bytes = 4.0 * (64 * 128 + 128 * 256 + 64 * 256);

  DeviceRates rates = slow_memory();
  EstimatedLatency estimate = estimate_latency(graph, rates);
  REQUIRE(estimate.layers.size() == 1);
  const LayerEstimate& layer = estimate.layers[0];
  CHECK(layer.macs == 64 * 128 * 256);
  CHECK(layer.bytes == static_cast<int64_t>(bytes));
  CHECK(layer.compute_ns == doctest::Approx(2 * macs / 100));
  CHECK(layer.memory_ns == doctest::Approx(bytes));
  CHECK(layer.memory_bound);
  CHECK(*estimate.ns == doctest::Approx(bytes));
  CHECK(estimate.memory_bound_ns == doctest::Approx(bytes));
  CHECK(estimate.unknown_nodes == 0);

  rates.memory = {{std::nullopt, 1e6}};
  estimate = estimate_latency(graph, rates);
  CHECK_FALSE(estimate.layers[0].memory_bound);
  CHECK(*estimate.ns == doctest::Approx(2 * macs / 100));
  CHECK(estimate.memory_bound_ns == 0);

  rates.memory.clear();  // unknown bandwidth costs nothing
  CHECK(*estimate_latency(graph, rates).ns == doctest::Approx(2 * macs / 100));
}

TEST_CASE("without rates there is a reason instead of a number") {
  Graph graph;
  const ValueId x = input(graph, "x", {4});
  graph.set_outputs({op(graph, OpKind::kRelu, "relu", {x})});
  infer_shapes(graph);
  const EstimatedLatency estimate = estimate_latency(graph, {});
  CHECK_FALSE(estimate.ns);
  CHECK_FALSE(estimate.reason.empty());
}

TEST_CASE("elementwise followers join their layer, views are free") {
  Graph graph;
  const ValueId x = input(graph, "x", {8, 8});
  const ValueId other = input(graph, "other", {8, 8});
  const ValueId w = graph.add_constant("w", zeros(DType::kFloat32, {8, 8}));
  const ValueId product = op(graph, OpKind::kMatMul, "mul", {x, w});
  const ValueId sum = op(graph, OpKind::kAdd, "add", {product, other});
  const ValueId relu = op(graph, OpKind::kRelu, "relu", {sum});
  graph.set_outputs({op(graph, OpKind::kIdentity, "same", {relu})});
  infer_shapes(graph);
  const EstimatedLatency estimate = estimate_latency(graph, slow_memory());
  REQUIRE(estimate.layers.size() == 1);
  CHECK(estimate.layers[0].merged == std::vector<std::string>{"add", "relu"});
  CHECK(estimate.layers[0].bytes == 4 * 4 * 64);  // x, w, other, one result
}

TEST_CASE("a value with two readers is written, and nothing joins over it") {
  Graph graph;
  const ValueId x = input(graph, "x", {8, 8});
  const ValueId w = graph.add_constant("w", zeros(DType::kFloat32, {8, 8}));
  const ValueId product = op(graph, OpKind::kMatMul, "mul", {x, w});
  const ValueId sigmoid = op(graph, OpKind::kSigmoid, "sigmoid", {product});
  graph.set_outputs({op(graph, OpKind::kMul, "swish", {product, sigmoid})});
  infer_shapes(graph);
  const EstimatedLatency estimate = estimate_latency(graph, slow_memory());
  REQUIRE(estimate.layers.size() == 2);
  CHECK(estimate.layers[1].node == "sigmoid");
  CHECK(estimate.layers[1].merged == std::vector<std::string>{"swish"});
}

TEST_CASE("tensors between quantizers travel as bytes and are computed in int8") {
  Graph graph;
  const ValueId x = input(graph, "x", {16, 16}, DType::kUInt8);
  const ValueId w = graph.add_constant("w", zeros(DType::kInt8, {16, 16}));
  const ValueId scale = graph.add_constant("scale", zeros(DType::kFloat32, {}));
  const ValueId zero_u = graph.add_constant("zero_u", zeros(DType::kUInt8, {}));
  const ValueId zero_s = graph.add_constant("zero_s", zeros(DType::kInt8, {}));
  const ValueId dx = op(graph, OpKind::kDequantizeLinear, "dx", {x, scale, zero_u});
  const ValueId dw = op(graph, OpKind::kDequantizeLinear, "dw", {w, scale, zero_s});
  const ValueId product = op(graph, OpKind::kMatMul, "mul", {dx, dw});
  graph.set_outputs({op(graph, OpKind::kQuantizeLinear, "q", {product, scale, zero_u})});
  infer_shapes(graph);
  const EstimatedLatency estimate = estimate_latency(graph, slow_memory());
  REQUIRE(estimate.layers.size() == 1);
  CHECK(estimate.layers[0].dtype == "int8");
  CHECK(estimate.layers[0].bytes == 3 * 256);
  CHECK(estimate.layers[0].compute_ns == doctest::Approx(2 * 16.0 * 16 * 16 / 400));
  CHECK(estimate.layers[0].merged == std::vector<std::string>{"q"});
}

TEST_CASE("a lookup reads what it selects, not the whole table") {
  Graph graph;
  const ValueId ids = input(graph, "ids", {4}, DType::kInt64);
  const ValueId table = graph.add_constant("table", zeros(DType::kFloat32, {1000, 16}));
  graph.set_outputs({op(graph, OpKind::kGather, "rows", {table, ids})});
  infer_shapes(graph);
  const EstimatedLatency estimate = estimate_latency(graph, slow_memory());
  REQUIRE(estimate.layers.size() == 1);
  CHECK(estimate.layers[0].bytes == 4 * 8 + 2 * 4 * 16 * 4);
}

TEST_CASE("unknown shapes are counted, an open batch is one") {
  Graph graph;
  const ValueId x =
      graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(8)}));
  const ValueId y = graph.add_input("y", tensor_type(DType::kFloat32));
  const ValueId first = op(graph, OpKind::kRelu, "first", {x});
  const ValueId second = op(graph, OpKind::kRelu, "second", {y});
  graph.set_outputs({first, second});
  infer_shapes(graph);
  const EstimatedLatency estimate = estimate_latency(graph, slow_memory());
  CHECK(estimate.unknown_nodes == 1);
  REQUIRE(estimate.layers.size() == 2);
  CHECK(estimate.layers[0].bytes == 2 * 8 * 4);
  CHECK(estimate.layers[1].bytes == 0);
  CHECK(*estimate.ns == doctest::Approx(64));
}

}  // namespace
}  // namespace lathe
