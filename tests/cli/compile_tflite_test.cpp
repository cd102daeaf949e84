// lathe compile --target tflite, and .tflite files where commands take models.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "report_schema.h"
#include "run_lathe.h"
#include "text_model.h"

namespace lathe {
namespace {

TEST_CASE("a file for LiteRT, and the commands that read it") {
  const ScratchDirectory folder;
  const std::string integers = folder.path("glyphs.int8.onnx");
  const std::string file = folder.path("glyphs.tflite");
  REQUIRE(run_lathe({"quantize", kGlyphs, "--data", "random", "--effort", "fast", "--profile",
                     "litert", "-o", integers})
              .exit_code == 0);
  const CliResult made = run_lathe({"compile", integers, "--target", "tflite", "--profile",
                                    "litert", "-o", file, "--json"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const nlohmann::json report = report_of(made);
  CHECK(schema_errors(report).empty());
  CHECK(report["verification"]["verified"] == true);
  CHECK(report["model_out"]["format"] == "tflite");
  CHECK(report["tflite"]["in_floats"].empty());
  CHECK(report["tflite"]["operators"]["CONV_2D"].get<int>() > 0);
  CHECK(!report["tflite"]["operators"].contains("TRANSPOSE"));
  const CliResult again = run_lathe({"compile", integers, "--target", "tflite", "--profile",
                                     "litert", "-o", folder.path("2.tflite"), "--threads", "1"});
  REQUIRE(again.exit_code == 0);
  CHECK(content_of(file) == content_of(folder.path("2.tflite")));
  // Read again: inspected, run, and made a file of another kind.
  const nlohmann::json seen = report_of(run_lathe({"inspect", file, "--json"}));
  CHECK(seen["model"]["format"] == "tflite");
  CHECK(!seen["model"].contains("opset"));
  CHECK(run_lathe({"run", file, "--data", "random", "-o", folder.path("out.npz")}).exit_code == 0);
  CHECK(run_lathe({"compile", file, "--target", "onnx", "-o", folder.path("back.onnx")})
            .exit_code == 0);
}

TEST_CASE("what TensorFlow Lite has no form for, and files that are none") {
  const ScratchDirectory folder;
  check_refused(run_lathe({"compile", kGlyphs, "-o", folder.path("x.tflite")}), 2,
                {".tflite", "--target tflite"});
  check_refused(run_lathe({"compile", kGlyphs, "--target", "tflite", "--opset", "13", "-o",
                           folder.path("x.tflite")}),
                2, {"--opset"});
  const std::string cut = folder.path("cut.tflite");
  REQUIRE(run_lathe({"compile", kGlyphs, "--target", "tflite", "-o", cut}).exit_code == 0);
  std::filesystem::resize_file(cut, std::filesystem::file_size(cut) / 2);
  check_refused(run_lathe({"inspect", cut}), 3, {"cut.tflite", "TensorFlow Lite"});
}

}  // namespace
}  // namespace lathe
