// Ops that are written out for the native engine compute what they did.
#include "engine/write_out_ops.h"

#include "engine/native_engine.h"
#include "lower/lower_graph.h"
#include "native_run.h"
#include "quantized_graph.h"
#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

/// The written-out form in the native engine beside the op in the interpreter, and no fallback
/// partitions.
void check_written_out(const std::string& body, OpKind kind) {
  const Graph graph = test::graph_from(body);
  std::vector<Tensor> inputs;
  std::vector<Shape> shapes;
  for (const ValueId id : graph.inputs()) {
    const Shape shape = *static_shape(*graph.value(id).type.dims);
    inputs.push_back(
        Tensor::of<float>(shape, test::noise(element_count(shape), static_cast<uint32_t>(7))));
    shapes.push_back(shape);
  }
  Graph written = test::with_shapes(graph, shapes);
  write_out_ops(written);
  infer_shapes(written);
  for (const NodeId id : written.node_ids()) CHECK(written.node(id).kind != kind);
  const test::NativeRun run = test::run_native(written, inputs);
  CHECK(run.steps.count("fallback") == 0);
  CHECK(test::difference(graph, inputs, run, 1).largest <= 1e-5);
}

}  // namespace

TEST_CASE("BatchNormalization whose statistics are constants") {
  check_written_out(R"(g (float[2,3,5] x) => (float[2,3,5] y)
    <float[3] s = {0.5, -1.25, 2}, float[3] b = {0.1, 0.2, -0.3}, float[3] m = {0.4, -0.2, 0.05},
     float[3] v = {0.9, 0.01, 2.5}>
    { y = BatchNormalization<epsilon = 0.001>(x, s, b, m, v) })",
                    OpKind::kBatchNormalization);
}

TEST_CASE("Attention of several heads, with a mask and without") {
  check_written_out(R"(g (float[2,3,5,8] q, float[2,3,6,8] k, float[2,3,6,8] v) =>
    (float[2,3,5,8] y) { y = Attention(q, k, v) })",
                    OpKind::kAttention);
  check_written_out(R"(g (float[2,3,5,8] q, float[2,3,6,8] k, float[2,3,6,8] v, float[5,6] m) =>
    (float[2,3,5,8] y) { y = Attention<scale = 0.4>(q, k, v, m) })",
                    OpKind::kAttention);
}

TEST_CASE("time goes to the node that was written out, of a product to what people call it") {
  const auto observed = [](const std::string& body) {
    const Graph graph = test::graph_from(body);
    NativeEngine engine(graph, [&](const std::vector<Shape>& shapes) {
      Graph written = test::with_shapes(graph, shapes);
      write_out_ops(written);
      infer_shapes(written);
      return lower_graph(written, {});
    });
    std::vector<Tensor> inputs;
    for (const ValueId id : graph.inputs()) {
      const Shape shape = *static_shape(*graph.value(id).type.dims);
      inputs.push_back(
          Tensor::of<float>(shape, test::noise(element_count(shape), static_cast<uint32_t>(7))));
    }
    engine.prepare({inputs});
    std::string kinds;
    engine.observe([&](NodeId node, int64_t) {
      kinds += (kinds.empty() ? "" : " ") + std::string(graph.node(node).type_name());
    });
    engine.execute(0);
    return kinds;
  };
  CHECK(observed(R"(g (float[2,3,5,8] q, float[2,3,6,8] k, float[2,3,6,8] v) =>
    (float[2,3,5,8] y) { y = Attention(q, k, v) })")
            .starts_with("Attention Attention Attention"));
  CHECK(observed(R"(g (float[1,4,6,6] x) => (float[1,4,6,6] y) <int8[4,4,1,1] w = {1, 2, 3, 4, 5, 6,
    7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, float s = {0.1}, uint8 z = {128}, int8 n = {0}>
    { q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  e = DequantizeLinear(w, s, n)
      c = Conv(d, e)  r = QuantizeLinear(c, s, z)  y = DequantizeLinear(r, s, z) })")
            .find("Conv") != std::string::npos);
}

TEST_CASE("forms that only the op has stay") {
  Graph graph = test::graph_from(R"(g (float[2,3,5,8] q, float[2,3,6,8] k, float[2,3,6,8] v) =>
    (float[2,3,5,8] y) { y = Attention<is_causal = 1>(q, k, v) })");
  write_out_ops(graph);
  REQUIRE(graph.node_ids().size() == 1);
  CHECK(graph.node(graph.node_ids().front()).kind == OpKind::kAttention);
}

}  // namespace lathe
