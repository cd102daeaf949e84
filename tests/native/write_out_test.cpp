// Ops that are written out for the native engine compute what they did.
#include "engine/write_out_ops.h"
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

TEST_CASE("forms that only the op has stay") {
  Graph graph = test::graph_from(R"(g (float[2,3,5,8] q, float[2,3,6,8] k, float[2,3,6,8] v) =>
    (float[2,3,5,8] y) { y = Attention<is_causal = 1>(q, k, v) })");
  write_out_ops(graph);
  REQUIRE(graph.node_ids().size() == 1);
  CHECK(graph.node(graph.node_ids().front()).kind == OpKind::kAttention);
}

}  // namespace lathe
