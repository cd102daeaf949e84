// Real networks in the native engine beside the interpreter, optimized as `bench` does it.
#include <fmt/format.h>

#include <filesystem>

#include "engine/native_plan_file.h"
#include "evaluate/evaluate.h"
#include "onnx/read_model.h"
#include "optimized.h"
#include "run/threads.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

using test::optimized;

/// Unknown dimensions that are no batch.
Shape shape_for(const std::string& model, const Value& input, int64_t batch) {
  if (model == "silero_vad_v5" && input.name == "input") return {1, 576};
  Shape shape;
  for (const Dim& dim : *input.type.dims)
    shape.push_back(dim.known() ? dim.size : shape.empty() ? batch : 1);
  if (model == "silero_vad_v5" && input.name == "state") shape = {2, 1, 128};
  return shape;
}

RuntimeValue seeded(const std::string& model, const Value& input, const Shape& shape) {
  const DType dtype = input.type.dtype;
  if (model == "silero_vad_v5" && dtype == DType::kInt64)
    return {at::full(shape, 16000, at::kLong), dtype};
  if (dtype == DType::kInt64 || dtype == DType::kInt32)
    return {at::randint(0, 10, shape, storage_type(dtype)), dtype};
  return {at::randn(shape).to(storage_type(dtype)), dtype};
}

double relative_error(const std::string& model, int64_t batch) {
  const fs::path file = fs::path(LATHE_SHARED_DIR) / "models" / (model + ".onnx");
  const Graph graph = load_onnx(file).graph;
  at::manual_seed(7);
  std::vector<RuntimeValue> inputs;
  std::vector<Shape> shapes;
  for (const ValueId id : graph.inputs()) {
    shapes.push_back(shape_for(model, graph.value(id), batch));
    inputs.push_back(seeded(model, graph.value(id), shapes.back()));
  }
  NativeEngine engine(graph, [&](const std::vector<Shape>& s) { return optimized(graph, s); });
  const auto found = engine.run(inputs);
  // Twice: what the first run left in memory must not show.
  const auto again = engine.run(inputs);
  // PoolWorth tries its third run without the pool.
  const auto alone = engine.run(inputs);
  const auto wanted = Interpreter(graph).run(inputs);
  double error = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    REQUIRE(found[i].tensor->sizes() == wanted[i].tensor->sizes());
    CHECK(at::equal(found[i].tensor, again[i].tensor));
    // When runs leave the pool depends on the machine's load, which must not show, either.
    CHECK(at::equal(found[i].tensor, alone[i].tensor));
    const at::Tensor a = wanted[i].tensor->to(at::kDouble);
    const double scale = std::max(a.abs().max().item<double>(), 1e-30);
    error =
        std::max(error, (a - found[i].tensor->to(at::kDouble)).abs().max().item<double>() / scale);
  }
  return error;
}

}  // namespace

TEST_CASE("the shared float models agree with the interpreter") {
  if (!fs::exists(fs::path(LATHE_SHARED_DIR) / "models")) {
    MESSAGE("skipped: there are no shared models");
    return;
  }
  set_thread_count(2);
  for (const char* model :
       {"mobilenet_v2_imagenet", "cifar10_resnet_2b", "cifar10_resnet_4b", "vit_pgd_2_3_16",
        "mnist_cntk_op8", "pcb_simple_cnn_fp32", "ultraface_RFB_320", "yolox_nano", "silero_vad_v5",
        "gtcrn_simple", "SINet_Softmax", "super_resolution_x3", "magika_standard_v3_3",
        "lstm_autoencoder", "cct_2_32_op20"}) {
    CAPTURE(model);
    CHECK(relative_error(model, 1) <= 1e-4);
  }
  CHECK(relative_error("SqueezeNet_fp16", 1) <= 5e-3);
}

TEST_CASE("other batch sizes are other plans") {
  if (!fs::exists(fs::path(LATHE_SHARED_DIR) / "models")) {
    MESSAGE("skipped: there are no shared models");
    return;
  }
  for (const char* model : {"mobilenet_v2_imagenet", "vit_pgd_2_3_16", "pcb_simple_cnn_fp32"}) {
    CAPTURE(model);
    CHECK(relative_error(model, 3) <= 1e-4);
  }
}

TEST_CASE("a large batch runs in parts, with the results of each sample") {
  const fs::path file = fs::path(LATHE_SHARED_DIR) / "models" / "mobilenet_v2_imagenet.onnx";
  if (!fs::exists(file)) {
    MESSAGE("skipped: there are no shared models");
    return;
  }
  const Graph graph = load_onnx(file).graph;
  at::manual_seed(3);
  const at::Tensor batch = at::randn({6, 3, 224, 224});
  const at::Tensor wanted = Interpreter(graph).run({{batch, DType::kFloat32}})[0].tensor;
  // Threads, and parts: of two samples, alone and together; of one, as many as threads. Where
  // oneDNN's GEMM has a say, as for one thread.
  const bool is_for_threads = best_kernel_isa() == KernelIsa::kAvx512Vnni;
  for (const auto& [threads, parts] : {std::pair{1, 3}, {2, 3}, {3, 3}, {6, 6}, {7, 1}}) {
    CAPTURE(threads);
    set_thread_count(threads);
    NativeEngine engine(graph, [&](const std::vector<Shape>& s) { return optimized(graph, s); });
    const at::Tensor found = engine.run({{batch, DType::kFloat32}})[0].tensor;
    CHECK(engine.prepared({{6, 3, 224, 224}}).program->parts() == (is_for_threads ? parts : 3));
    CHECK((found - wanted).abs().max().item<double>() <= 1e-4 * wanted.abs().max().item<double>());
  }
}

TEST_CASE("plan files call inputs and outputs as the model does") {
  if (!fs::exists(fs::path(LATHE_SHARED_DIR) / "models")) {
    MESSAGE("skipped: there are no shared models");
    return;
  }
  for (const char* model :
       {"super_resolution_x3", "yolox_nano", "SINet_Softmax", "lstm_autoencoder"}) {
    CAPTURE(model);
    Graph graph =
        load_onnx(fs::path(LATHE_SHARED_DIR) / "models" / (model + std::string(".onnx"))).graph;
    const NativePlanFile made = make_plan_file(
        graph, [&](const std::vector<Shape>& shapes) { return optimized(graph, shapes); });
    const auto& described = made.file.metadata;
    for (size_t i = 0; i < graph.inputs().size(); ++i)
      CHECK(described.inputs[i].name == graph.value(graph.inputs()[i]).name);
    for (size_t i = 0; i < graph.outputs().size(); ++i)
      CHECK(described.outputs[i].name == graph.value(graph.outputs()[i]).name);
    // Its input's batch is free, but it computes one sequence.
    if (model == std::string("lstm_autoencoder")) CHECK(made.batch_fixed);
  }
}

TEST_CASE("another tool's quantized file gives the interpreter's answer") {
  if (!fs::exists(fs::path(LATHE_SHARED_DIR) / "models")) {
    MESSAGE("skipped: there are no shared models");
    return;
  }
  // One step of the logits in their range.
  CHECK(relative_error("pcb_simple_cnn_qdq", 2) <= 0.06);
}

}  // namespace lathe
