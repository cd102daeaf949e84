// TorchScript files out of lathe and into it, as a user meets them, on the repository's own model.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "run_lathe.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kShape{"--input-shape", "image=1x1x28x28"};

std::vector<std::string> with_shape(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), kShape.begin(), kShape.end());
  return arguments;
}

}  // namespace

TEST_CASE("a model becomes a TorchScript file, and that file a model again") {
  const ScratchDirectory scratch;
  const CliResult made = run_lathe(
      {"compile", kGlyphs, "-o", scratch.path("g.pt"), "--target", "torchscript", "--json"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  CHECK(report_of(made)["model_out"]["format"] == "torchscript");
  const auto manifest = nlohmann::json::parse(content_of(scratch.path("g.pt.manifest.json")));
  CHECK(manifest["batch_fixed"] == false);
  CHECK(manifest["expected_environment"]["engine"] == "libtorch");
  CHECK(manifest["verified"] == true);
  // The file carries what lathe knew of its inputs.
  const CliResult again = run_lathe({"inspect", scratch.path("g.pt"), "--json"});
  INFO(again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(report_of(again)["model"]["macs"] == report_of(made)["model"]["macs"]);

  const CliResult back =
      run_lathe(with_shape({"compile", scratch.path("g.pt"), "-o", scratch.path("back.onnx")}));
  INFO(back.err);
  REQUIRE(back.exit_code == 0);
  const CliResult same = run_lathe({"compare", kGlyphs, scratch.path("back.onnx"), "--data",
                                    "random", "--samples", "4", "--tolerance", "1e-5"});
  INFO(same.out);
  CHECK(same.exit_code == 0);
}

TEST_CASE("every command takes a TorchScript file") {
  const ScratchDirectory scratch;
  const std::string model = scratch.path("g.pt");
  REQUIRE(run_lathe({"compile", kGlyphs, "-o", model, "--target", "torchscript"}).exit_code == 0);
  const CliResult inspected = run_lathe(with_shape({"inspect", model, "--json"}));
  REQUIRE(inspected.exit_code == 0);
  CHECK(report_of(inspected)["model"]["format"] == "torchscript");
  CHECK(report_of(inspected)["model"]["macs"] > 5'000'000);
  const std::vector<std::vector<std::string>> commands{
      {"run", model, "--data", "random", "--samples", "2", "-o", scratch.path("y.npz")},
      {"compare", model, model, "--data", "random", "--samples", "2", "--tolerance", "0"},
      {"quantize", model, "--data", "random", "--samples", "2", "-o", scratch.path("q.onnx")},
      {"bench", model, "--iterations", "3"},
      {"bench", model, "--iterations", "3", "--engine", "torchscript"},
      {"bench", model, "--iterations", "3", "--engine", "torchscript", "--trust"}};
  for (const std::vector<std::string>& command : commands) {
    const CliResult result = run_lathe(with_shape(command));
    INFO(command[0], ": ", result.err);
    CHECK(result.exit_code == 0);
  }
}

TEST_CASE("int8 models become quantized operators, on phones too") {
  const ScratchDirectory scratch;
  REQUIRE(run_lathe({"quantize", kGlyphs, "--data", "random", "--samples", "4", "-o",
                     scratch.path("q.onnx")})
              .exit_code == 0);
  for (const char* target : {"torchscript", "torchscript-mobile"}) {
    const std::string out = scratch.path(target);
    const CliResult result =
        run_lathe({"compile", scratch.path("q.onnx"), "-o", out, "--target", target});
    INFO(result.err, result.out);
    REQUIRE(result.exit_code == 0);
    const auto manifest = nlohmann::json::parse(content_of(out + ".manifest.json"));
    CHECK(manifest["quantized"]["engine"] == "onednn");
    CHECK(manifest["quantized"]["operators"]["conv"] == 14);
  }
}

TEST_CASE("flags of TorchScript inputs that do not fit are refused") {
  const ScratchDirectory scratch;
  const std::string model = scratch.path("g.pt");
  REQUIRE(run_lathe({"compile", kGlyphs, "-o", model, "--target", "torchscript"}).exit_code == 0);
  const std::string out = scratch.path("o.onnx");
  check_refused(run_lathe({"compile", model, "-o", out, "--input-shape", "picture=1x1x28x28"}), 2,
                {"picture"});
  check_refused(run_lathe({"compile", model, "-o", out, "--input-shape", "1x1x28x28"}), 2,
                {"--input-shape"});
  check_refused(run_lathe(with_shape({"compile", model, "-o", out, "--input-type", "image=flot"})),
                2, {"flot", "--input-type"});
  check_refused(run_lathe(with_shape({"compile", model, "-o", out, "--input-value", "image=x"})), 2,
                {"--input-value"});
  check_refused(run_lathe({"compile", kGlyphs, "-o", out, "--input-value", "image=1"}), 2,
                {"TorchScript"});
  const std::string script = scratch.path("o.pt");
  check_refused(
      run_lathe({"compile", kGlyphs, "-o", script, "--target", "torchscript", "--float16"}), 2,
      {"--float16"});
  check_refused(
      run_lathe({"compile", kGlyphs, "-o", script, "--target", "torchscript", "--opset", "13"}), 2,
      {"--opset"});
  check_refused(run_lathe({"compile", kGlyphs, "-o", out, "--opset", "25"}), 2,
                {"--opset", "x86-64-vnni"});
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("what is no TorchScript module is named") {
  const ScratchDirectory scratch;
  const std::string out = scratch.path("o.onnx");
  const auto refused = [&](const std::string& file, const std::vector<std::string>& named) {
    check_refused(run_lathe({"compile", file, "-o", out, "--input-shape", "x=1"}), 3, named);
    CHECK_FALSE(fs::exists(out));
  };
  REQUIRE(run_lathe({"compile", kGlyphs, "-o", scratch.path("g.pt"), "--target", "torchscript"})
              .exit_code == 0);
  const std::string whole = content_of(scratch.path("g.pt"));
  refused(scratch.write("cut.pt", whole.substr(0, whole.size() / 2)), {"cut.pt"});
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 16);
  refused(scratch.write("flipped.pt", flipped), {"flipped.pt"});
  refused(scratch.write("empty.pt", ""), {"empty.pt"});
  refused(scratch.write("text.pt", "hello"), {"text.pt"});
}

}  // namespace lathe
