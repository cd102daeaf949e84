// lathe quantize --mode and --format as a user meets them.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>

#include "pruning.h"
#include "report_schema.h"
#include "text_model.h"

namespace lathe {
namespace {

using nlohmann::json;

struct ModeFiles {
  ScratchDirectory folder;
  std::string at(const std::string& name) const { return folder.path(name); }
  std::string model(const std::string& name, const std::string& body) const {
    return write_model(folder, name, body);
  }
  std::string products() const {
    return model("p.onnx", "agraph (float[2,64] x) => (float[2,8] y) <float[64,16] w = " +
                               numbers(1024) + ", float[16,8] v = " + numbers(128) +
                               "> { a = MatMul(x, w)  b = Relu(a)  y = MatMul(b, v) }");
  }
  std::string integers() const {
    return model("i.onnx",
                 "agraph (int64[2,2] x) => (int64[2,2] y) <int64[2,2] w = {1,2,3,4}> "
                 "{ a = MatMul(x, w)  y = Add(a, w) }");
  }
  CliResult quantize(const std::string& from, const std::string& to,
                     const std::vector<std::string>& more) const {
    return run_lathe(joined({"quantize", from, "-o", at(to), "--json"}, more));
  }
  json quantized(const std::string& from, const std::string& to,
                 const std::vector<std::string>& more) const {
    const CliResult result = quantize(from, to, more);
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
    const json report = report_of(result);
    CHECK(schema_errors(report).empty());
    return report;
  }
};

const std::map<std::string, std::string> kOpsOfMode = {
    {"weight-only", "DequantizeLinear"}, {"dynamic", "MatMulInteger"}, {"float16", "Cast"}};

}  // namespace

TEST_CASE("modes that need no data: what the report, the manifest and the file say") {
  const ModeFiles files;
  const std::string model = files.products();
  for (const auto& [mode, op] : kOpsOfMode) {
    CAPTURE(mode);
    const std::string out = mode + ".onnx";
    const json report = files.quantized(model, out, {"--mode", mode, "--eval", "random"});
    CHECK(report["quantize"]["mode"] == mode);
    CHECK(report["quantize"]["mode_reason"] == "asked for");
    CHECK(report["model_out"]["ops"].contains(op));
    CHECK(report["quality"][0]["after"].is_number());
    CHECK(report["plan"]["exceptions"].is_array());
    CHECK(content_of(files.at(out) + ".manifest.json").find("nodes") != std::string::npos);
    const double before = report["model"]["file_bytes"].get<double>();
    CHECK(report["model_out"]["file_bytes"].get<double>() < 0.75 * before);
    // What lathe writes, lathe runs.
    const CliResult compared =
        run_lathe({"compare", model, files.at(out), "--data", "random", "--min-sqnr", "30"});
    CHECK(compared.exit_code == 0);
  }
}

TEST_CASE("four bits are smaller than eight, and say what they cost") {
  const ModeFiles files;
  const std::string model = files.products();
  const json eight = files.quantized(model, "8.onnx", {"--mode", "weight-only"});
  const json four =
      files.quantized(model, "4.onnx", {"--mode", "weight-only", "--weight-bits", "4"});
  CHECK(four["model_out"]["opset"] == 21);
  CHECK(four["plan"]["weights"][0]["block_size"] == 32);
  CHECK(eight["plan"]["weights"][0]["axis"] == 1);
  CHECK(four["model_out"]["file_bytes"] < eight["model_out"]["file_bytes"]);
}

TEST_CASE("static without data names the two ways out") {
  const ModeFiles files;
  check_refused(
      run_lathe({"quantize", files.products(), "-o", files.at("o.onnx"), "--mode", "static"}), 2,
      {"calibration data", "--data"});
  const CliResult result =
      run_lathe({"quantize", kGlyphs, "-o", files.at("o.onnx"), "--mode", "auto"});
  CHECK(result.exit_code == 2);
  CHECK(result.err.find("--data random") != std::string::npos);
  CHECK(result.err.find("--mode weight-only") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(files.at("o.onnx")));
}

TEST_CASE("auto chooses by what the network does and what the device can") {
  const ModeFiles files;
  const std::string products = files.products();
  const auto chosen = [&](const std::string& model, const std::vector<std::string>& more) {
    const json report = files.quantized(
        model, "a.onnx", joined({"--mode", "auto", "--data", "random", "--force"}, more));
    const json& details = report["quantize"];
    CHECK(details["mode_reason"].get<std::string>().size() > 10);
    return details["mode"].get<std::string>();
  };
  CHECK(chosen(products, {}) == "dynamic");
  CHECK(chosen(kGlyphs, {}) == "static");
  CHECK(chosen(products, {"--profile", "server-gpu"}) == "float16");
  CHECK(chosen(products, {"--profile", "cortex-m4"}) == "static");

  const ScratchDirectory folder;
  const std::string embedding = write_model(
      folder, "embedding.onnx",
      "g (int64[1,4] ids) => (float[1,4,100] y) <float[600,8] table = " + numbers(4800) +
          ", float[8,100] w = " + numbers(800) + "> { x = Gather(table, ids) y = MatMul(x, w) }");
  const json report = files.quantized(embedding, "a.onnx", {"--mode", "auto", "--force"});
  CHECK(report["quantize"]["mode_reason"].get<std::string>().find(
            "86 % of all weights are tables that Gather reads") != std::string::npos);
  // They become integers beside the products.
  CHECK(report["plan"]["weights"].size() == 1);
  CHECK(report["model_out"]["file_bytes"].get<int64_t>() < 5600 * 4 / 2);
}

TEST_CASE("what a device or an opset does not allow ends with 2 and the way out") {
  const ModeFiles files;
  const std::string model = files.products();
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> cases{
      {{"--mode", "dynamic", "--profile", "server-gpu"}, {"tensorrt", "server-gpu"}},
      {{"--mode", "dynamic", "--profile", "esp32"}, {"native", "esp32"}},
      {{"--mode", "dynamic", "--opset", "10"}, {"opset 11", "--opset"}},
      {{"--mode", "weight-only", "--weight-bits", "4", "--opset", "20"}, {"opset 21", "--opset"}},
      {{"--mode", "weight-only", "--weight-bits", "4", "--profile", "server-gpu"}, {"opset 21"}},
      {{"--mode", "weight-only", "--weight-bits", "2"}, {"--weight-bits"}},
      {{"--mode", "dynamic", "--weight-bits", "4"}, {"--weight-bits"}},
      {{"--mode", "dynamic", "--format", "qoperator"}, {"--format"}},
      {{"--mode", "quick"}, {"--mode"}},
  };
  for (const auto& [flags, named] : cases) {
    CAPTURE(flags.back());
    check_refused(run_lathe(joined({"quantize", model, "-o", files.at("o.onnx")}, flags)), 2,
                  named);
  }
  // The warning that this host is no such device comes first.
  const CliResult small =
      run_lathe({"quantize", model, "-o", files.at("o.onnx"), "--mode", "weight-only",
                 "--weight-bits", "4", "--profile", "cortex-m4"});
  CHECK(small.exit_code == 2);
  CHECK(small.err.find("no weights of 4 bits") != std::string::npos);
  CHECK(small.err.find("try --weight-bits 8") != std::string::npos);
}

TEST_CASE("globs that match nothing or contradict each other are refused in every mode") {
  const ModeFiles files;
  const std::string model = files.products();
  for (const std::string mode : {"static", "dynamic", "weight-only", "float16"}) {
    CAPTURE(mode);
    const std::vector<std::string> command = {"quantize", model,    "-o",     files.at("o.onnx"),
                                              "--data",   "random", "--mode", mode};
    check_refused(run_lathe(joined(command, {"--exclude", "no_such_node"})), 2,
                  {"--exclude", "no_such_node"});
    check_refused(run_lathe(joined(command, {"--include", "op:MatMul", "--exclude", "op:MatM*"})),
                  2, {"no node"});
    check_refused(run_lathe(joined(command, {"--include", ""})), 2, {});
  }
}

TEST_CASE("only what is included changes") {
  const ModeFiles files;
  const std::string model = files.products();
  const json report =
      files.quantized(model, "o.onnx", {"--mode", "dynamic", "--include", "MatMul_0"});
  CHECK(report["model_out"]["ops"]["MatMulInteger"] == 1);
  CHECK(report["model_out"]["ops"]["MatMul"] == 1);
  REQUIRE(report["plan"]["exceptions"].size() == 1);
  CHECK(report["plan"]["exceptions"][0]["reason"] == "excluded by name");
}

TEST_CASE("quantized already, or without float work: nothing to do, said so, exit 0") {
  const ModeFiles files;
  const std::string model = files.products();
  for (const auto& [mode, op] : kOpsOfMode) {
    CAPTURE(mode);
    files.quantized(model, mode + ".once.onnx", {"--mode", mode});
    const json integers = files.quantized(files.integers(), mode + ".i.onnx", {"--mode", mode});
    CHECK(warns(integers, "quantize.nothing"));
    if (mode == "float16") continue;
    const json twice =
        files.quantized(files.at(mode + ".once.onnx"), mode + ".twice.onnx", {"--mode", mode});
    CHECK(warns(twice, "quantize.nothing"));
  }
  const json integers = files.quantized(files.integers(), "s.onnx", {"--data", "random"});
  CHECK(warns(integers, "quantize.nothing"));
  const json automatic =
      files.quantized(files.integers(), "a.onnx", {"--mode", "auto", "--data", "random"});
  CHECK(warns(automatic, "quantize.nothing"));
}

TEST_CASE("a half quantized model: only the float rest changes") {
  const ModeFiles files;
  files.quantized(files.products(), "half.onnx",
                  {"--mode", "weight-only", "--include", "MatMul_0"});
  const json rest = files.quantized(files.at("half.onnx"), "rest.onnx", {"--mode", "dynamic"});
  CHECK_FALSE(warns(rest, "quantize.nothing"));
  CHECK(rest["model_out"]["ops"]["MatMulInteger"] == 1);
  CHECK(rest["model_out"]["ops"]["DequantizeLinear"] == 1);
}

TEST_CASE("--format qoperator: integer ops, the same network") {
  const ModeFiles files;
  const std::string data = draw_glyphs(files.folder, "glyphs", 40, 3);
  const json qdq = files.quantized(kGlyphs, "q.onnx", {"--data", data});
  const json qoperator =
      files.quantized(kGlyphs, "o.onnx", {"--data", data, "--format", "qoperator"});
  CHECK(qdq["model_out"]["ops"].contains("QuantizeLinear"));
  CHECK(qoperator["model_out"]["ops"].contains("QLinearConv"));
  CHECK_FALSE(qoperator["model_out"]["ops"].contains("Conv"));
  CHECK(run_lathe(
            {"compare", files.at("q.onnx"), files.at("o.onnx"), "--data", data, "--min-sqnr", "25"})
            .exit_code == 0);
}

TEST_CASE("a dry run plans and writes nothing") {
  const ModeFiles files;
  const std::string model = files.products();
  for (const auto& [mode, op] : kOpsOfMode) {
    CAPTURE(mode);
    const json report = files.quantized(model, "o.onnx", {"--mode", mode, "--dry-run"});
    CHECK(report["plan"].is_object());
    CHECK_FALSE(std::filesystem::exists(files.at("o.onnx")));
  }
}

}  // namespace lathe
