#include "torchscript/emit/torchscript.h"

#include <ATen/ATen.h>

#include <filesystem>

#include "onnx/read_model.h"
#include "run/run_text.h"
#include "torchscript/emit/torchscript_engine.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::contains;
using test::error_of;
using test::graph_from;

namespace {

std::vector<RuntimeValue> sample_of(const Shape& shape) {
  return {{at::sin(at::arange(element_count(shape), at::kFloat)).reshape(shape), DType::kFloat32}};
}

std::vector<at::Tensor> tensors_of(const std::vector<RuntimeValue>& values) {
  std::vector<at::Tensor> tensors;
  for (const RuntimeValue& value : values) tensors.push_back(value.tensor);
  return tensors;
}

// Both kinds of file agree with the interpreter; returns the ordinary one.
TorchScriptArtifact checked(const Graph& graph, double tolerance = 1e-4) {
  TorchScriptOptions options;
  options.tolerance = tolerance;
  TorchScriptArtifact plain;
  for (const bool mobile : {true, false}) {
    CAPTURE(mobile);
    options.mobile = mobile;
    plain = emit_torchscript(graph, options);
    REQUIRE(!plain.checks.empty());
    for (const TorchScriptCheck& check : plain.checks) {
      CAPTURE(check.batch);
      CHECK(check.failure == "");
      CHECK(check.outputs.size() == graph.outputs().size());
    }
    if (plain.batch_fixed) MESSAGE("fixed: " << plain.batch_reason);
  }
  return plain;
}

// Every input but the first becomes a constant.
void hold_constants(Graph& graph) {
  const std::vector<ValueId> inputs = graph.inputs();
  graph.set_inputs({inputs[0]});
  for (size_t i = 1; i < inputs.size(); ++i)
    graph.set_constant(inputs[i],
                       to_tensor(sample_of(*static_shape(*graph.value(inputs[i]).type.dims))[0]));
}

const char* kConvNet =
    R"(agraph (float[N, 3, 8, 8] x, float[4, 3, 3, 3] w, float[4] b, float[5, 4] g) => (float[N, 5] y)
{ c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b)  r = Relu(c)
  p = GlobalAveragePool(r)  f = Flatten(p)  y = Gemm<transB = 1>(f, g) })";

Graph conv_net() {
  Graph graph = graph_from(kConvNet);
  hold_constants(graph);
  return graph;
}

}  // namespace

TEST_CASE("a convolutional network runs at every batch size") {
  const TorchScriptArtifact artifact = checked(graph_from(
      R"(agraph (float[N, 3, 8, 8] x) => (float[N, 12] y, float[N, 3, 4, 4] m)
{ m = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)  r = Relu(m)
  s = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(r)  y = Flatten(s) })"));
  CHECK(!artifact.batch_fixed);
  CHECK(artifact.batch_reason == "");
  TorchScriptProgram program(artifact.bytes, false);
  const auto outputs = program.run(tensors_of(sample_of({7, 3, 8, 8})));
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].sizes() == at::IntArrayRef({7, 12}));
  CHECK(outputs[1].sizes() == at::IntArrayRef({7, 3, 4, 4}));
}

TEST_CASE("sizes that evaluation computes in C++ follow the batch") {
  for (const std::string body :
       {R"(agraph (float[N, 6] x) => (float[K, 2] y)
<int64[2] s = {-1, 2}> { y = Reshape(x, s) })",
        R"(agraph (float[N, 2, 3] x) => (float[M, 3] y) { y = Flatten<axis = 2>(x) })",
        R"(agraph (float[N, 8, 2, 3] x) => (float[N, 2, 4, 6] y)
{ y = DepthToSpace<blocksize = 2>(x) })",
        R"(agraph (float[N, 4] x) => (float[N, 2, 2] y)
<int64 zero = {0}, int64[1] at = {0}, int64[2] two = {2, 2}>
{ shape = Shape(x)  n = Gather(shape, zero)  u = Unsqueeze(n, at)
  s = Concat<axis = 0>(u, two)  y = Reshape(x, s) })",
        R"(agraph (float[N, 4] x) => (float[N, 4] y)
{ shape = Shape(x)  z = ConstantOfShape(shape)  y = Add(x, z) })",
        R"(agraph (float[N, 1] x) => (float[N, 3] y)
<int64[1] three = {3}, int64[1] zero = {0}, int64[1] one = {1}>
{ shape = Shape(x)  n = Slice(shape, zero, one)  s = Concat<axis = 0>(n, three)
  y = Expand(x, s) })"}) {
    CAPTURE(body);
    const TorchScriptArtifact artifact = checked(graph_from(body));
    CHECK(artifact.batch_reason == "");
    CHECK(!artifact.batch_fixed);
  }
}

TEST_CASE("a batch that the network itself fixes is said with the node") {
  const TorchScriptArtifact artifact = checked(graph_from(R"(agraph (float[N, 6] x) => (float[6] y)
<int64[1] s = {6}> { y = Reshape(x, s) })"));
  CHECK(artifact.batch_fixed);
  CHECK(contains(artifact.batch_reason, "Reshape"));
  const TorchScriptArtifact stated =
      checked(graph_from("agraph (float[1, 6] x) => (float[1, 6] y) { y = Relu(x) }"));
  CHECK(stated.batch_fixed);
  CHECK(contains(stated.batch_reason, "no free batch axis"));
}

TEST_CASE("other families of ops") {
  for (const std::string body :
       {R"(agraph (float[N, 4] x) => (float[N, 4] y, int64[N, 2] i, float[N, 2] v)
<int64[1] k = {2}> { y = Softmax<axis = 1>(x)  v, i = TopK(y, k) })",
        R"(agraph (float[N, 3, 4, 4] x) => (float[N, 3, 8, 8] y)
<float[4] scales = {1, 1, 2, 2}> { y = Resize<mode = "linear">(x, , scales) })",
        R"(agraph (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y)
{ a = Transpose<perm = [0, 2, 3, 1]>(x)  b = ReduceMean<axes = [3], keepdims = 1>(a)
  c = Sub(a, b)  y = Transpose<perm = [0, 3, 1, 2]>(c) })",
        R"(agraph (float[N, 4] x, int64[N, 1] i) => (float[N, 1] y)
{ y = GatherElements<axis = 1>(x, i) })",
        R"(agraph (float[N, 4] x) => (bool[N, 4] y, float[N, 4] z, float[3] c)
<float zero = {0}, float[3] k = {1, 2, 3}>
{ y = Greater(x, zero)  z = Where(y, x, zero)  c = Identity(k) })",
        R"(agraph (float[N, 8] x) => (float[N, 8] y)
<float s = {0.05}, uint8 z = {128}>
{ q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) })"}) {
    CAPTURE(body);
    CHECK(!checked(graph_from(body)).batch_fixed);
  }
}

TEST_CASE("the same graph gives the same bytes") {
  const Graph graph = conv_net();
  for (const bool mobile : {false, true}) {
    TorchScriptOptions options;
    options.mobile = mobile;
    const std::string first = emit_torchscript(graph, options).bytes;
    CHECK(first.size() > 1000);
    CHECK(first == emit_torchscript(graph, options).bytes);
  }
}

TEST_CASE("constants are stored once") {
  Graph graph = graph_from(R"(agraph (float[N, 300] x, float[300, 300] w) => (float[N, 300] y)
{ a = MatMul(x, w)  b = MatMul(a, w)  y = MatMul(b, w) })");
  hold_constants(graph);
  const TorchScriptArtifact artifact = checked(graph);
  CHECK(artifact.bytes.size() < 90000 * 4 + 20000);
}

TEST_CASE("what a trace cannot hold is refused by name") {
  const auto refusal = [](const char* body) {
    return error_of([&] { emit_torchscript(graph_from(body), {}); });
  };
  const std::string control = refusal(R"(agraph (float[2] x, bool c) => (float[2] y)
{ y = If(c) <then_branch = a () => (float[2] p) { p = Relu(x) },
             else_branch = b () => (float[2] q) { q = Neg(x) }> })");
  CHECK(contains(control, "3 torchscript.op: node If_"));
  CHECK(contains(control, "If cannot become TorchScript"));
  CHECK(contains(refusal("agraph (string[2] x) => (string[2] y) { y = Identity(x) }"),
                 "torchscript.type"));
  CHECK(contains(refusal("agraph (float[2] x) => (float[2] y) { y = RandomNormalLike(x) }"),
                 "random"));
  CHECK(contains(refusal("agraph (float[2, K] x) => (float[2, K] y) { y = Relu(x) }"),
                 "no known size"));
  CHECK(contains(refusal(R"(agraph (float[1, 3, 4] b, float[1, 1, 3] s) => (int64[K, 3] y)
{ y = NonMaxSuppression(b, s) })"),
                 "cannot become TorchScript"));
}

TEST_CASE("an input that is read while tracing is named") {
  const std::string bound = error_of([] {
    emit_torchscript(graph_from(R"(agraph (float[N, 4] x, float low) => (float[N, 4] y)
{ y = Clip(x, low) })"),
                     {});
  });
  CHECK(contains(bound, "node Clip_0 (Clip)"));
  CHECK(contains(bound, "the values of its input 1 (low) would become constants"));
  const std::string axis = error_of([] {
    emit_torchscript(graph_from(R"(agraph (float[2, 4] x, int64 at) => (float[2, 4] y)
{ y = CumSum(x, at) })"),
                     {});
  });
  CHECK(contains(axis, "its input 1 (at) would become constants"));
}

TEST_CASE("an int8 network becomes quantized operators in both kinds of file") {
  const auto path = std::filesystem::path(LATHE_SHARED_DIR) / "models" / "pcb_simple_cnn_qdq.onnx";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: " << path.string() << " is not there");
    return;
  }
  Graph graph = load_onnx(path).graph;
  infer_shapes(graph);
  const size_t in_float = emit_torchscript(graph, {}).bytes.size();
  for (const QuantizedEngine engine : {QuantizedEngine::kOnednn, QuantizedEngine::kQnnpack})
    for (const bool mobile : {false, true}) {
      CAPTURE(mobile);
      CAPTURE(std::string(engine_name(engine)));
      TorchScriptOptions options;
      options.mobile = mobile;
      options.engine = engine;
      const TorchScriptArtifact artifact = emit_torchscript(graph, options);
      for (const TorchScriptCheck& check : artifact.checks) CHECK(check.failure == "");
      CHECK(artifact.quantized.groups.size() >= 5);
      CHECK(!artifact.batch_fixed);
      CHECK(artifact.bytes.size() < in_float / 3);
      CHECK(artifact.bytes == emit_torchscript(graph, options).bytes);
    }
}

TEST_CASE("names from a file are no program text") {
  Graph graph = graph_from(R"(agraph (float[N, 4] x, float[N, 4] z) => (float[N, 4] y)
{ a = Add(x, z)  y = Relu(a) })");
  graph.rename(graph.inputs()[0], "self, x):\n  import os #");
  graph.rename(graph.inputs()[1], "0 \xff%s::for");
  graph.rename(graph.outputs()[0], "return");
  for (const NodeId id : graph.node_ids()) graph.edit(id).name = "a::b/\n%n " + graph.node(id).name;
  CHECK(!checked(graph).batch_fixed);
}

TEST_CASE("an example says sizes and values") {
  const Graph graph = graph_from(R"(agraph (float[N, K] x, int64[N] i) => (float[N] y)
<int64[1] one = {1}> { u = Unsqueeze(i, one)  g = GatherElements<axis = 1>(x, u)
  y = Squeeze(g, one) })");
  TorchScriptOptions options;
  options.example = {to_tensor(sample_of({2, 9})[0]), Tensor::vector<int64_t>({3, 8})};
  const TorchScriptArtifact artifact = emit_torchscript(graph, options);
  CHECK(artifact.batch_reason == "");
  REQUIRE(artifact.checks.size() == 2);
  CHECK(artifact.checks[0].batch == 2);
  CHECK(artifact.checks[1].batch == 1);
  for (const TorchScriptCheck& check : artifact.checks) CHECK(check.failure == "");
  options.example.pop_back();
  CHECK(contains(error_of([&] { emit_torchscript(graph, options); }), "run.inputs"));
}

TEST_CASE("a program that computes something else fails its check") {
  const Graph graph = graph_from("agraph (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }");
  const Graph other = graph_from("agraph (float[N, 4] x) => (float[N, 4] y) { y = Abs(x) }");
  TorchScriptProgram program(emit_torchscript(other, {}).bytes, false);
  const TorchScriptCheck check =
      check_torchscript(program, Interpreter(graph), sample_of({2, 4}), {});
  CHECK(contains(check.failure, "output y differs"));
  const Graph narrow = graph_from(
      "agraph (float[N, 4] x) => (float[N] y) { y = ReduceMax<axes=[1],keepdims=0>(x) }");
  CHECK(check_torchscript(program, Interpreter(narrow), sample_of({2, 4}), {}).failure != "");
  CHECK_THROWS_AS(TorchScriptProgram("not a zip file", false), Error);
  CHECK_THROWS_AS(TorchScriptProgram("not a zip file", true), Error);
}

TEST_CASE("the engine runs what was written") {
  TorchScriptEngine engine(conv_net(), {});
  CHECK_THROWS_AS(engine.execute(0), InternalError);
  engine.prepare(
      {{to_tensor(sample_of({1, 3, 8, 8})[0])}, {to_tensor(sample_of({4, 3, 8, 8})[0])}});
  for (size_t i = 0; i < 4; ++i) engine.execute(i);
  CHECK(!engine.artifact().batch_fixed);
}

TEST_CASE("real models") {
  struct Case {
    const char* file;
    bool free_batch;
  };
  for (const Case& model : {Case{"mobilenet_v2_imagenet", true}, Case{"cifar10_resnet_4b", false},
                            Case{"vit_pgd_2_3_16", true}, Case{"mnist_cntk_op8", false},
                            Case{"ultraface_RFB_320", false}, Case{"pcb_simple_cnn_fp32", true},
                            Case{"lstm_autoencoder", false}}) {
    const auto path =
        std::filesystem::path(LATHE_SHARED_DIR) / "models" / (std::string(model.file) + ".onnx");
    if (!std::filesystem::exists(path)) {
      MESSAGE("skipped: " << path.string() << " is not there");
      continue;
    }
    CAPTURE(path.string());
    Graph graph = load_onnx(path).graph;
    infer_shapes(graph);
    const TorchScriptArtifact artifact = checked(graph);
    CHECK(artifact.batch_fixed != model.free_batch);
    MESSAGE(std::string(model.file) << " " << artifact.bytes.size() << " bytes");
  }
}

}  // namespace lathe
