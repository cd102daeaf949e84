// The native engine as a user meets it, on the repository's own model.
#include <filesystem>

#include "pruning.h"
#include "run_lathe.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

nlohmann::json case_of(const nlohmann::json& report, const std::string& engine) {
  for (const auto& one : report["cases"])
    if (one["engine"] == engine) return one;
  return {};
}

}  // namespace

TEST_CASE("bench --engine native: the accuracy of the interpreter, within a planned arena") {
  const PruneFiles files;
  const std::string data = files.draw("glyphs", 300);
  const CliResult quantized =
      run_lathe({"quantize", kGlyphsModel, "-o", files.at("q.onnx"), "--data", data, "--samples", "64",
                 "--effort", "fast"});
  INFO(quantized.err);
  REQUIRE(quantized.exit_code == 0);
  for (const std::string& model : {kGlyphsModel, files.at("q.onnx")}) {
    CAPTURE(model);
    const CliResult measured =
        run_lathe({"bench", model, "--engine", "native,interpreter", "--data",
                   data, "--metric", "top1", "--threads", "1", "--max-time", "1s",
                   "--gate", "accuracy > 50%", "--json"});
    INFO(measured.err);
    CHECK(measured.exit_code == 0);
    const auto report = report_of(measured);
    const auto native = case_of(report, "native");
    const auto interpreter = case_of(report, "interpreter");
    REQUIRE(native.is_object());
    REQUIRE(interpreter.is_object());
    CHECK(native["quality"]["value"].get<double>() ==
          doctest::Approx(interpreter["quality"]["value"].get<double>()).epsilon(0.01));
    CHECK(native["memory"]["arena_planned_bytes"].get<int64_t>() > 0);
    CHECK_FALSE(native.contains("interpreted"));
  }
}

TEST_CASE("bench --engine native: what has no native kernel is named with its share") {
  const fs::path model = fs::path(LATHE_SHARED_DIR) / "models/lstm_autoencoder.onnx";
  if (!fs::exists(model)) {
    MESSAGE("skipped: " << model.string() << " is not there");
    return;
  }
  const CliResult measured = run_lathe({"bench", model.string(), "--engine", "native", "--threads",
                                        "1", "--max-time", "1s", "--json"});
  INFO(measured.err);
  CHECK(measured.exit_code == 0);
  const auto interpreted = report_of(measured)["cases"][0]["interpreted"];
  REQUIRE(interpreted.is_object());
  CHECK(interpreted["nodes"]["LSTM"] == 4);
  CHECK(interpreted["share"].get<double>() > 0.2);
}

}  // namespace lathe
