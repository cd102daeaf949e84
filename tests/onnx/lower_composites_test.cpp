// Ops that old opsets lack, written out.
#include <doctest/doctest.h>

#include "ops/op_row.h"
#include "write_fixtures.h"

namespace lathe {
namespace {

std::string written_types(const char* graph, int64_t from, int64_t opset) {
  Model model = model_of(from, graph);
  infer_shapes(model.graph);
  WriteOptions options;
  options.opset = opset;
  const WrittenModel written = write_onnx(model, options);
  CHECK(written.opset == opset);
  const Model again = reread(written);
  verify(again.graph, "reading again");
  // The last part keeps name and output.
  const NodeId last = again.graph.value(again.graph.outputs()[0]).producer;
  CHECK(again.graph.node(last).name ==
        model.graph.node(model.graph.value(model.graph.outputs()[0]).producer).name);
  CHECK(write_onnx(model, options).model_bytes == written.model_bytes);
  return types_of(again.graph);
}

int64_t least_opset(const char* graph, int64_t from) {
  return opset_need(model_of(from, graph).graph).opset;
}

}  // namespace

TEST_CASE("activations are written out before their opset") {
  const char* swish = "g (float[2] x) => (float[2] y) { y = Swish(x) }";
  CHECK(written_types(swish, 24, 24) == "Swish");
  CHECK(written_types(swish, 24, 23) == "Sigmoid Mul");
  CHECK(written_types(swish, 24, 7) == "Sigmoid Mul");
  const char* quick = "g (float[2] x) => (float[2] y) { y = Swish<alpha = 1.702>(x) }";
  CHECK(written_types(quick, 24, 13) == "Mul Sigmoid Mul");
  const char* hard = "g (float[2] x) => (float[2] y) { y = HardSwish(x) }";
  CHECK(written_types(hard, 14, 14) == "HardSwish");
  CHECK(written_types(hard, 14, 13) == "HardSigmoid Mul");
  const char* gelu = "g (float[2] x) => (float[2] y) { y = Gelu(x) }";
  CHECK(written_types(gelu, 20, 20) == "Gelu");
  CHECK(written_types(gelu, 20, 13) == "Div Erf Add Mul Mul");
  CHECK(least_opset(gelu, 20) == 9);
  const char* tanh = "g (float[2] x) => (float[2] y) { y = Gelu<approximate = \"tanh\">(x) }";
  CHECK(written_types(tanh, 20, 7) == "Mul Pow Mul Add Mul Tanh Add Mul");
}

TEST_CASE("scalars of what is written out have the op's type") {
  const Model model = model_of(20, "g (float16[2] x) => (float16[2] y) { y = Gelu(x) }");
  WriteOptions options;
  options.opset = 13;
  const Graph again = reread(write_onnx(model, options)).graph;
  for (const ValueId id : again.value_ids())
    if (const Tensor* tensor = again.constant(id)) {
      CHECK(tensor->dtype() == DType::kFloat16);
      CHECK(tensor->rank() == 0);
    }
  // bfloat16 came to the parts with 13.
  CHECK(least_opset("g (bfloat16[2] x) => (bfloat16[2] y) { y = Gelu(x) }", 20) == 13);
  CHECK(least_opset("g (bfloat16[2] x) => (bfloat16[2] y) { y = HardSwish(x) }", 22) == 22);
}

TEST_CASE("LayerNormalization is written out before 17") {
  const char* both = R"(g (float[N,3,4] x) => (float[N,3,4] y)
<float[4] s = {1, 2, 3, 4}, float[4] b = {1, 1, 1, 1}> { y = LayerNormalization(x, s, b) })";
  CHECK(written_types(both, 17, 17) == "LayerNormalization");
  CHECK(written_types(both, 17, 16) == "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add");
  CHECK(written_types(both, 17, 7) == "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add");
  const char* neutral = R"(g (float[N,3,4] x) => (float[N,3,4] y)
<float[3,4] s = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}>
{ y = LayerNormalization<axis = 1, epsilon = 0.25>(x, s) })";
  CHECK(written_types(neutral, 17, 9) == "ReduceMean Sub Pow ReduceMean Add Sqrt Div");
  WriteOptions options;
  options.opset = 9;
  const onnx::ModelProto proto = proto_of(write_onnx(model_of(17, neutral), options));
  const onnx::AttributeProto* axes = attribute_of(node_of(proto, "ReduceMean"), "axes");
  REQUIRE(axes != nullptr);
  CHECK(axes->ints_size() == 2);
  CHECK(axes->ints(0) == -2);
  // The scale of ones is not left behind.
  for (const onnx::TensorProto& tensor : proto.graph().initializer()) CHECK(tensor.name() != "s");
}

TEST_CASE("LayerNormalization of forms that only the op has keeps its opset") {
  CHECK(least_opset(R"(g (float16[3,4] x, float16[4] s) => (float16[3,4] y)
{ y = LayerNormalization(x, s) })",
                    17) == 17);
  CHECK(least_opset(R"(g (float[3,4] x, float[4] s) => (float[3,4] y, float[3,1] m)
{ y, m = LayerNormalization(x, s) })",
                    17) == 17);
  CHECK(least_opset(R"(g (float[3,N] x, float[N] s) => (float[3,N] y)
{ y = LayerNormalization(x, s) })",
                    17) == 17);
}

TEST_CASE("Attention is written out before 23") {
  const char* plain = R"(g (float[B,2,3,4] q, float[B,2,5,4] k, float[B,2,5,6] v)
=> (float[B,2,3,6] y) { y = Attention(q, k, v) })";
  CHECK(written_types(plain, 23, 23) == "Attention");
  CHECK(written_types(plain, 23, 9) == "Mul Transpose MatMul Softmax MatMul");
  const char* masked = R"(g (float[B,2,3,4] q, float[B,2,5,4] k, float[B,2,5,6] v, float[3,5] m)
=> (float[B,2,3,6] y) { y = Attention<scale = 1.0>(q, k, v, m) })";
  CHECK(written_types(masked, 23, 13) == "Transpose MatMul Add Softmax MatMul");
  // K's own Transpose takes the swap in, or goes.
  const char* split = R"(g (float[B,2,3,4] q, float[B,5,2,4] k, float[B,2,5,6] v)
=> (float[B,2,3,6] y)
{ t = Transpose<perm = [0, 2, 1, 3]>(k)  y = Attention<scale = 1.0>(q, t, v) })";
  CHECK(written_types(split, 23, 13) == "Transpose MatMul Softmax MatMul");
  const char* swapped = R"(g (float[B,2,3,4] q, float[B,2,4,5] k, float[B,2,5,6] v)
=> (float[B,2,3,6] y)
{ t = Transpose<perm = [0, 1, 3, 2]>(k)  y = Attention<scale = 1.0>(q, t, v) })";
  CHECK(written_types(swapped, 23, 13) == "MatMul Softmax MatMul");
}

TEST_CASE("Attention of forms that only the op has keeps its opset") {
  const auto least = [](const std::string& inputs, const std::string& call) {
    return least_opset(("g (float[1,2,3,4] q, float[1,2,5,4] k, float[1,2,5,4] v" + inputs +
                        ") => (float[1,2,3,4] y) { y = " + call + " }")
                           .c_str(),
                       23);
  };
  CHECK(least("", "Attention<is_causal = 1>(q, k, v)") == 23);
  CHECK(least("", "Attention<softcap = 2.0>(q, k, v)") == 23);
  CHECK(least(", bool[3,5] m", "Attention(q, k, v, m)") == 23);
  CHECK(least(", float[3,4] m", "Attention(q, k, v, m)") == 23);
  CHECK(least(", float[3,5] m", "Attention(q, k, v, m)") == 7);
  CHECK(least_opset(R"(g (float[1,4,3,4] q, float[1,2,5,4] k, float[1,2,5,4] v)
=> (float[1,4,3,4] y) { y = Attention(q, k, v) })",
                    23) == 23);
  CHECK(least_opset(R"(g (float[1,3,8] q, float[1,5,8] k, float[1,5,8] v) => (float[1,3,8] y)
{ y = Attention<q_num_heads = 2, kv_num_heads = 2>(q, k, v) })",
                    23) == 23);
}

}  // namespace lathe
