#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>

#include "onnx/read_fixtures.h"
#include "onnx/text_form.h"
#include "onnx/write_model.h"
#include "run_lathe.h"

namespace lathe {
namespace {

std::string onnx_of(std::string_view graph) {
  const std::string text =
      "<ir_version: 8, opset_import: [\"\" : 17, \"com.example\" : 1]>\n" + std::string(graph);
  return write_onnx(parse_text(text)).model_bytes;
}

// 8 filters of 3x3 over 3 channels of 8x8: 8*8*8 * 27 MACs an image.
std::string conv_model(const std::string& batch) {
  return onnx_of("net (float[" + batch + ",3,8,8] image) => (float[" + batch +
                 R"(,8,8,8] y)
      <float[8,3,3,3] w = {)" +
                 [] {
                   std::string values = "0";
                   for (int i = 1; i < 216; ++i) values += ", 1";
                   return values;
                 }() +
                 R"(}>
      {
        c = Conv <pads = [1,1,1,1]> (image, w)
        y = Relu (c)
      })");
}

}  // namespace

TEST_CASE("inspect of a small network") {
  const ScratchDirectory folder;
  const std::string model = folder.write("net.onnx", conv_model("N"));
  const auto before = listing(folder.path());
  const CliResult result = run_lathe({"inspect", model});
  INFO(result.out, result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK(result.out.rfind("net.onnx: float32, 216 parameters, 13.8 k MACs", 0) == 0);
  CHECK(contains(result.out, "image  float Nx3x8x8"));
  CHECK(contains(result.out, "y  float Nx8x8x8"));
  CHECK(contains(result.out, "at batch 1"));
  CHECK(contains(result.out, "float32 1 of 1 compute node"));
  CHECK_FALSE(contains(result.out, "net.onnx: node"));
  CHECK(listing(folder.path()) == before);

  const CliResult verbose = run_lathe({"inspect", model, "-v"});
  CHECK(contains(verbose.out, "float Nx8x8x8  13.8 k  float32"));
  CHECK(run_lathe({"inspect", model, "--quiet"}).out.empty());
}

TEST_CASE("inspect's report holds what the screen says") {
  const ScratchDirectory folder;
  const std::string model = folder.write("net.onnx", conv_model("2"));
  const CliResult result = run_lathe({"inspect", model, "--json", "--profile", "cortex-m4", "-v"});
  CHECK(contains(result.err, "net.onnx: float32"));
  const auto report = report_of(result);
  CHECK(report["verdict"] == "pass");
  CHECK(report["model"]["macs"] == 2 * 13824);
  CHECK(report["model"]["params"] == 216);
  CHECK(report["device_profile"]["name"] == "cortex-m4");
  const auto& inspect = report["inspect"];
  CHECK(inspect["inputs"] ==
        nlohmann::json::parse(R"([{"name": "image", "dtype": "float", "shape": [2, 3, 8, 8]}])"));
  CHECK(inspect["outputs"][0]["shape"] == nlohmann::json::parse("[2, 8, 8, 8]"));
  CHECK(inspect["ops"][0]["type"] == "Conv");
  CHECK(inspect["ops"][0]["support"] == "integer");
  CHECK(inspect["ops"][0]["configs"] == nlohmann::json::parse(R"(["s8s8"])"));
  CHECK(inspect["ops"][0]["macs_share"] == 1.0);
  CHECK(inspect["precision"][0]["precision"] == "float32");
  // The Relu runs with the Conv: 2*3*8*8 floats and 2*8*8*8 floats live together.
  CHECK(inspect["memory"]["arena_bytes"] == 5632);
  CHECK(inspect["memory"]["arena_bytes"] == report["fit"]["arena_bytes"]);
  CHECK(report["fit"]["verdict"] == "fits");
  CHECK(report["fit"]["peak"]["buffers"].size() == 2);
  CHECK(inspect["coverage"]["integer_nodes"] == 1);
  CHECK(inspect["nodes"].size() == 2);
  CHECK(inspect["batch_counts_as_one"] == false);
}

TEST_CASE("inspect tells the precision") {
  const ScratchDirectory folder;
  const std::string qdq = onnx_of(R"(q (float[1,4] x) => (float[1,2] y)
      <float s = {0.1}, uint8 z = {128}, int8[4,2] w = {1,2,3,4,5,6,7,8}, float ws = {0.5}, int8 wz = {0}>
      {
        q = QuantizeLinear (x, s, z)
        d = DequantizeLinear (q, s, z)
        dw = DequantizeLinear (w, ws, wz)
        y = MatMul (d, dw)
      })");
  CHECK(run_lathe({"inspect", folder.write("q.onnx", qdq)}).out.rfind("q.onnx: QDQ uint8,", 0) ==
        0);
  const std::string weight_only = onnx_of(R"(q (float[1,4] x) => (float[1,2] y)
      <int8[4,2] w = {1,2,3,4,5,6,7,8}, float ws = {0.5}, int8 wz = {0}>
      { dw = DequantizeLinear (w, ws, wz)
        y = MatMul (x, dw) })");
  CHECK(run_lathe({"inspect", folder.write("w.onnx", weight_only)})
            .out.rfind("w.onnx: weight-only int8,", 0) == 0);
  const std::string integer = onnx_of(R"(q (uint8[1,4] x) => (int32[1,2] y)
      <int8[4,2] w = {1,2,3,4,5,6,7,8}> { y = MatMulInteger (x, w) })");
  CHECK(
      run_lathe({"inspect", folder.write("i.onnx", integer)}).out.rfind("i.onnx: QOperator,", 0) ==
      0);
  const std::string half = onnx_of(R"(h (float16[1,4] x, float16[4,2] w) => (float16[1,2] y)
      { y = MatMul (x, w) })");
  CHECK(run_lathe({"inspect", folder.write("h.onnx", half)}).out.rfind("h.onnx: float16,", 0) == 0);
}

TEST_CASE("inspect says what it does not know") {
  const ScratchDirectory folder;
  const std::string unknown = onnx_of(R"(u (float[N,M] x, float[M,K] w) => (float[N,K] y)
      { m = MatMul (x, w)
        y = com.example.Twist (m) })");
  const CliResult result = run_lathe({"inspect", folder.write("u.onnx", unknown)});
  INFO(result.out, result.err);
  CHECK(result.exit_code == 0);
  CHECK(contains(result.out, "? MACs"));
  CHECK(contains(result.out, "1 of 1 compute nodes have unknown shapes"));
  CHECK(contains(result.out, "com.example:Twist (1 node: "));
  CHECK(contains(result.out, "of unknown size"));
  const auto report = report_of(run_lathe({"inspect", folder.write("u.onnx", unknown), "--json"}));
  CHECK(report["model"]["macs"].is_null());
  CHECK(report["model"].contains("macs_reason"));
  CHECK(report["inspect"]["unknown_ops"] == nlohmann::json::parse(R"(["com.example:Twist"])"));
}

TEST_CASE("names from the file cannot write to the terminal") {
  onnx::ModelProto model = empty_model();
  model.set_producer_name("\x1b]0;title\x07");
  model.mutable_graph()->mutable_input(0)->set_name("x\x1b[2J\n\r");
  model.mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_param("\x1b[31m");
  onnx::NodeProto& node = add_node(*model.mutable_graph(), "Bad\x1b[1m", {"x\x1b[2J\n\r"}, {"y"});
  node.set_domain("evil\x1b");
  node.set_name("n\xff\n");
  const ScratchDirectory folder;
  const std::string path = folder.write("e.onnx", model.SerializeAsString());
  for (const bool as_json : {false, true}) {
    std::vector<std::string> arguments{"inspect", path, "-v"};
    if (as_json) arguments.push_back("--json");
    const CliResult result = run_lathe(arguments);
    INFO(result.out, result.err);
    CHECK(result.signal == 0);
    CHECK((result.exit_code == 0 || result.exit_code == 3));
    CHECK_FALSE(contains(result.out + result.err, "\x1b"));
    CHECK_FALSE(contains(result.out + result.err, "\r"));
    if (as_json) report_of(result);
  }
}

TEST_CASE("inspect of the real models") {
  const std::filesystem::path models = std::filesystem::path(LATHE_SHARED_DIR) / "models";
  if (!std::filesystem::exists(models)) {
    MESSAGE("skipped: no shared models beside the checkout");
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    if (entry.path().extension() != ".onnx") continue;
    CAPTURE(entry.path().string());
    const CliResult result = run_lathe({"inspect", entry.path().string()});
    if (contains(entry.path().string(), "missing_data")) {
      check_refused(result, 3,
                    {"mobilenet_v2_fp32_missing_data.onnx", "mobilenet_v2_fp32.onnx.data"});
      CHECK(contains(result.err, "beside the model"));
      continue;
    }
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    CHECK(result.out.rfind(entry.path().filename().string() + ": ", 0) == 0);
  }
}

TEST_CASE("--require-fit ends with 4 where a model does not fit, with 2 where nothing is bounded") {
  const ScratchDirectory folder;
  const std::string model = folder.write("net.onnx", conv_model("1"));
  const auto profile = [&](const char* memory) {
    auto document = nlohmann::json::parse(run_lathe({"profiles", "show", "cortex-m4"}).out);
    document["memory"] = nlohmann::json::parse(memory);
    document["targets"] = nlohmann::json::object();
    document["runtime"].erase("flash_bytes");
    document["runtime"].erase("ram_bytes");
    return folder.write("device.json", document.dump());
  };
  const auto inspect = [&](const std::string& device) {
    return run_lathe({"inspect", model, "--profile", device, "--require-fit"});
  };
  CHECK(inspect("cortex-m4").exit_code == 0);
  // 768 bytes of picture and 2048 of output; 864 of weights.
  CHECK(inspect(profile(R"({"ram_bytes": 2816, "flash_bytes": 864, "arena_alignment": 1})"))
            .exit_code == 0);
  CHECK(inspect(profile(R"({"ram_bytes": 3679, "arena_alignment": 1})")).exit_code == 4);
  CHECK(inspect(profile(R"({"ram_bytes": 3680, "arena_alignment": 1})")).exit_code == 0);
  const CliResult large = inspect(profile(R"({"ram_bytes": 3679, "arena_alignment": 1})"));
  CHECK(large.exit_code == 4);
  CHECK(contains(large.out, "does not fit cortex-m4"));
  CHECK(contains(large.out, "half the channels"));
  check_refused(inspect(profile("{}")), 2, {"--require-fit", "device.json"});

  const std::string small = profile(R"({"ram_bytes": 1000, "flash_bytes": 100000,
                                        "arena_alignment": 1})");
  const std::string out = folder.path("out.onnx");
  const CliResult compiled =
      run_lathe({"compile", model, "-o", out, "--target", "onnx", "--profile", small,
                 "--require-fit", "--report", folder.path("r.json")});
  CHECK(compiled.exit_code == 4);
  CHECK(contains(compiled.out, "compiled and verified"));
  CHECK(contains(compiled.out, "does not fit cortex-m4: RAM"));
  CHECK(std::filesystem::exists(out));
  const auto report = nlohmann::json::parse(folder.read("r.json"));
  CHECK(report["exit_code"] == 4);
  CHECK(report["fit"]["verdict"] == "does_not_fit");
  // The same without the flag is a remark.
  CHECK(run_lathe({"compile", model, "-o", out, "--target", "onnx", "--profile", small, "--force"})
            .exit_code == 0);
}

TEST_CASE("targets count items and say, in the report too, what would meet them") {
  const auto targets = [](const std::vector<std::string>& more) {
    const CliResult result =
        run_lathe(joined({"inspect", LATHE_SOURCE_DIR "/scripts/glyphs.onnx", "--json"}, more));
    REQUIRE(result.exit_code == 0);
    std::map<std::string, nlohmann::json> found;
    const nlohmann::json report = nlohmann::json::parse(result.out);
    for (const nlohmann::json& row : report["inspect"]["targets"])
      found[row["what"]] = row;
    return found;
  };
  auto pi = targets({"--profile", "raspberry_pi_4"});
  CHECK(pi.at("latency")["met"] == true);
  CHECK(pi.at("latency")["simulated"] == true);
  const double one = pi.at("throughput")["value"].get<double>();
  CHECK(one == doctest::Approx(1e9 / pi.at("latency")["value"].get<double>()));
  const auto eight = targets({"--profile", "raspberry_pi_4", "--input-shape", "image=8x1x28x28"});
  CHECK(eight.at("throughput")["value"].get<double>() > 0.5 * one);
  const ScratchDirectory folder;
  const std::string profile = folder.write(
      "small.json",
      R"({"extends": "esp32", "name": "small", "targets": {"size_bytes": 100000, "latency_ms": 10}})");
  const auto small = targets({"--profile", profile});
  CHECK(small.at("file")["met"] == false);
  CHECK(small.at("file")["estimated"]["value"].get<double>() < 100000);
  CHECK(small.at("latency")["estimated"]["change"].get<std::string>().starts_with("int8"));
}

}  // namespace lathe
