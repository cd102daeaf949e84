#include "profiles/fit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "onnx/read_model.h"
#include "ops/op_row.h"
#include "profiles/fit_changes.h"
#include "qdq/activation_buffers.h"

namespace lathe {
namespace {

// x 1x8x32x32 -> Conv 3x3 to 16 channels -> Relu -> Conv 1x1 to 4 channels -> y, in float32.
Graph two_convolutions(int64_t batch = 1) {
  Graph graph;
  const auto weight = [&](const char* name, Shape shape) {
    const int64_t count = element_count(shape);
    return graph.add_constant(
        name, Tensor::of<float>(std::move(shape), std::vector<float>(static_cast<size_t>(count))));
  };
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, dims_of({batch, 8, 32, 32})));
  const auto conv = [&](ValueId input, ValueId w, int64_t pad, const char* name) {
    const ValueId out = graph.add_op(OpKind::kConv, {input, w}, name);
    graph.edit(graph.value(out).producer)
        .attributes.set("pads", std::vector<int64_t>{pad, pad, pad, pad});
    return out;
  };
  const ValueId a = conv(x, weight("w1", {16, 8, 3, 3}), 1, "a");
  const ValueId b = graph.add_op(OpKind::kRelu, {a}, "b");
  graph.set_outputs({conv(b, weight("w2", {4, 16, 1, 1}), 0, "y")});
  infer_shapes(graph);
  return graph;
}

Profile device(std::optional<int64_t> flash, std::optional<int64_t> ram) {
  Profile profile = load_profile("cortex-m4");
  profile.memory.flash_bytes = flash;
  profile.memory.ram_bytes = ram;
  profile.runtime.flash_bytes = 1000;
  profile.runtime.ram_bytes = 100;
  return profile;
}

const FitLine& line_of(const Fit& fit, const std::string& what) {
  for (const FitLine& line : fit.lines)
    if (line.what == what) return line;
  FAIL("no line " << what);
  return fit.lines.front();
}

// By hand: w1 has 1152 floats, w2 64; x 32 KiB, b 64 KiB (in place of a), y 16 KiB.
constexpr int64_t kWeights = (1152 + 64) * 4;
constexpr int64_t kPeak = (32 + 64) * 1024;

TEST_CASE("weights go into the flash, what lives at the peak into RAM") {
  const Graph graph = two_convolutions();
  Fit fit = does_it_fit(graph, {}, device(kWeights + 1000, kPeak + 100));
  CHECK(fit.verdict() == FitVerdict::kFits);
  CHECK(fit.weights_bytes == kWeights);
  CHECK(fit.arena_bytes == kPeak);
  CHECK(line_of(fit, "flash").need == kWeights + 1000);
  CHECK(line_of(fit, "RAM").need == kPeak + 100);
  CHECK(fit.changes.empty());
  REQUIRE(fit.peak.size() == 2);
  CHECK(fit.peak[0].bytes == 64 * 1024);
  CHECK(fit.peak[0].type == "Conv");
  CHECK(fit.peak_node == fit.peak[0].node);
  CHECK(fit.peak[1].value == "x");
  CHECK(fit.weights[0].bytes == 1152 * 4);

  fit = does_it_fit(graph, {}, device(kWeights + 999, kPeak + 100));
  CHECK(line_of(fit, "flash").verdict == FitVerdict::kDoesNotFit);
  CHECK(line_of(fit, "RAM").verdict == FitVerdict::kFits);
  CHECK(fit.verdict() == FitVerdict::kDoesNotFit);
  fit = does_it_fit(graph, {}, device(kWeights + 1000, kPeak + 99));
  CHECK(line_of(fit, "RAM").verdict == FitVerdict::kDoesNotFit);
  // Without flash the weights lie in RAM.
  fit = does_it_fit(graph, {}, device(std::nullopt, kPeak + kWeights + 100));
  CHECK(fit.verdict() == FitVerdict::kFits);
  CHECK(line_of(fit, "RAM").need == kPeak + kWeights + 100);
}

TEST_CASE("what would help is said with its size, the smallest set that fits last") {
  const Graph graph = two_convolutions();
  Fit fit = does_it_fit(graph, {}, device(1 << 20, 60 * 1024));
  // int8: x 32 KiB stays, b 16 KiB: 48. Half the resolution: 8 + 16. Half the channels: 32 + 32.
  REQUIRE(fit.changes.size() == 3);
  CHECK(fit.changes[0].what == "int8");
  CHECK(fit.changes[0].ram_bytes == 48 * 1024 + 100);
  CHECK(fit.changes[0].flash_bytes == kWeights / 4 + 1000);
  CHECK(fit.changes[0].fits);
  CHECK(fit.changes[1].what == "half the resolution");
  CHECK(fit.changes[1].ram_bytes == 24 * 1024 + 100);
  CHECK(fit.changes[2].what == "half the channels");
  CHECK(fit.changes[2].ram_bytes == 64 * 1024 + 100);
  CHECK_FALSE(fit.changes[2].fits);
  fit = does_it_fit(graph, {}, device(1 << 20, 15 * 1024));
  REQUIRE(fit.changes.size() == 4);
  CHECK(fit.changes[3].what == "int8 + half the resolution");
  CHECK(fit.changes[3].ram_bytes == 12 * 1024 + 100);
  fit = does_it_fit(graph, {}, device(1 << 20, 1024));
  CHECK(std::ranges::none_of(fit.changes, &FitChange::fits));
}

TEST_CASE(
    "int8 counts where the device computes in integers, and nothing fits past another obstacle") {
  Graph graph = two_convolutions();
  Profile plain = device(1 << 20, 60 * 1024);
  plain.precision.ops.clear();
  Fit fit = does_it_fit(graph, {}, plain);
  REQUIRE(fit.changes.size() == 2);
  CHECK(fit.changes[0].what == "half the resolution");
  // A model that has integers already is not helped by them.
  const BecomesInteger all = becomes_integer(graph, device({}, {}).precision);
  CHECK(all.weights.size() == 2);
  CHECK(all.values.size() == 3);
  CHECK(becomes_integer(typed_as_integers(graph, all), device({}, {}).precision).weights.empty());
  FitFile file;
  file.opset = plain.runtime.max_opset + 1;
  fit = does_it_fit(graph, file, device(1 << 20, 60 * 1024));
  REQUIRE_FALSE(fit.changes.empty());
  CHECK(std::ranges::none_of(fit.changes, &FitChange::fits));
}

TEST_CASE("a file that lathe's run time cannot run there says so, as integers of other types do") {
  Graph graph = two_convolutions();
  const Profile m4 = device(1 << 20, 1 << 20);
  const Fit fit = does_it_fit(graph, {}, m4);
  CHECK(fit.verdict() == FitVerdict::kFits);
  CHECK(line_of(fit, kRunTimeLine).text.find("--target c99") != std::string::npos);
  const auto has_line = [](const Fit& of) {
    return std::ranges::count(of.lines, kRunTimeLine, &FitLine::what) > 0;
  };
  CHECK_FALSE(has_line(does_it_fit(graph, {}, load_profile("x86-64-vnni"))));
  CHECK_FALSE(has_line(does_it_fit(graph, {}, load_profile("raspberry_pi_4"))));

  FitFile source;
  source.is_source = true;
  source.plan_bytes = 1000;
  source.plan_arena_bytes = 500;
  const Fit code = does_it_fit(graph, source, m4);
  CHECK_FALSE(has_line(code));
  CHECK(line_of(code, "flash").need == 1000 + 8192);
  CHECK(line_of(code, "RAM").need == 500 + 512);
  CHECK(line_of(code, "RAM").text == "activations 500 B + stack about 512 B");

  const auto ops = [&](DType dtype) {
    for (const ValueId id : {graph.inputs()[0], graph.node(graph.order().back()).input(0)})
      graph.edit_type(id).dtype = dtype;
    return line_of(does_it_fit(graph, {}, m4), "ops").text;
  };
  CHECK(ops(DType::kInt8) == "2 of 2 products in integers");
  CHECK(ops(DType::kUInt8) ==
        "2 of 2 products in integers, of uint8, which the profile does not list");
}

TEST_CASE("a plan comes with its run time, fits no other processor, nor what that refuses") {
  Profile host = device(std::nullopt, 1 << 30);
  host.cpu.arch = "x86_64";
  FitFile plan{{}, {}, true, false, false, {}, 1000, 500};
  const Graph graph = two_convolutions();
  CHECK(line_of(does_it_fit(graph, plan, host), "RAM").need == 1000 + 500 + 100);
  CHECK(does_it_fit(graph, plan, host).verdict() == FitVerdict::kFits);
  Profile board = host;
  board.cpu.arch = "aarch64";
  CHECK(does_it_fit(graph, plan, board).verdict() == FitVerdict::kFits);
  Profile plain = host;
  plain.runtime.ram_bytes.reset();
  CHECK(*line_of(does_it_fit(graph, plan, plain), "RAM").need > (10 << 20));
  plan.plan_refused = "2 of its parts";
  CHECK(line_of(does_it_fit(graph, plan, host), "ops").verdict == FitVerdict::kDoesNotFit);
  plan.plan_refused.clear();
  CHECK(line_of(does_it_fit(graph, plan, device({}, 1 << 20)), "ops").verdict ==
        FitVerdict::kDoesNotFit);
}

TEST_CASE("each shipped profile has models that fit and models that do not") {
  for (const std::string& name : profile_names()) {
    CAPTURE(name);
    const Profile profile = load_profile(name);
    CHECK(has_memory_limits(profile));
    FitFile file;
    file.opset = profile.runtime.max_opset;
    file.ir = profile.runtime.max_ir;
    Fit fit = does_it_fit(two_convolutions(), file, profile);
    CHECK(fit.verdict() == FitVerdict::kFits);
    CHECK(fit.peak[0].type == "Conv");
    CHECK(fit.batch <= profile.execution.batch_default);
    // A batch that alone is more than the RAM.
    const int64_t batch = *profile.memory.ram_bytes / kPeak + 1;
    fit = does_it_fit(two_convolutions(batch), file, profile);
    CHECK(line_of(fit, "RAM").verdict == FitVerdict::kDoesNotFit);
    CHECK(fit.peak[0].bytes == batch * 64 * 1024);
    REQUIRE_FALSE(fit.changes.empty());
    CHECK(fit.changes[0].what == "batch 1");
    CHECK(fit.changes[0].fits);
  }
}

TEST_CASE("opset, open dimensions and control flow") {
  Graph graph = two_convolutions();
  Profile m4 = device(1 << 20, 1 << 20);
  FitFile file;
  file.opset = m4.runtime.max_opset + 1;
  CHECK(line_of(does_it_fit(graph, file, m4), "opset").verdict == FitVerdict::kDoesNotFit);
  file.opset = m4.runtime.max_opset;
  file.ir = m4.runtime.max_ir + 1;
  CHECK(does_it_fit(graph, file, m4).verdict() == FitVerdict::kDoesNotFit);
  file.ir = m4.runtime.max_ir;
  CHECK(does_it_fit(graph, file, m4).verdict() == FitVerdict::kFits);
  graph.edit_type(graph.inputs()[0]) =
      tensor_type(DType::kFloat32, Dims{Dim::of(1), Dim::of(8), Dim::named("h"), Dim::of(32)});
  infer_shapes(graph);
  CHECK(line_of(does_it_fit(graph, {}, m4), "shapes").verdict == FitVerdict::kDoesNotFit);
  // Where memory is allocated as needed, it is only unknown how much.
  m4.memory.flash_bytes.reset();
  const Fit open = does_it_fit(graph, {}, m4);
  CHECK(line_of(open, "shapes").verdict == FitVerdict::kFits);
  CHECK(line_of(open, "RAM").verdict == FitVerdict::kUnknown);
}

TEST_CASE("batches are halved by floor and memory") {
  Profile pi = load_profile("raspberry_pi_4");
  CHECK(batch_that_fits(pi, 1 << 20, 1 << 20) == 8);
  pi.memory.ram_bytes = 300 << 20;  // below the floor of 512 MiB: once
  CHECK(batch_that_fits(pi, 1 << 20, 1 << 20) == 4);
  CHECK(batch_that_fits(pi, 1 << 20, 100 << 20) == 2);
  CHECK(batch_that_fits(pi, 1 << 20, 299 << 20) == 1);
}

// The bounds "by liveness" that were worked out for these networks by other means; without overlap
// of an op's input and output no planner can need less.
TEST_CASE("buffers of the four networks of MLPerf Tiny") {
  const std::string folder = LATHE_SHARED_DIR "/models/tiny/";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: no shared models");
    return;
  }
  for (const auto& [name, bytes] : {std::pair("kws", 16'000), {"vww", 55'296}, {"ic", 49'152}}) {
    CAPTURE(name);
    Model model = load_onnx(folder + name + "_qdq.onnx");
    infer_shapes(model.graph);
    CHECK(planned_arena_bytes(activation_buffers(model.graph), 1) == bytes);
  }
}

}  // namespace
}  // namespace lathe
