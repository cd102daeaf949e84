// lathe quantize --import-encodings and --export-encodings as a user gives them.
#include <filesystem>

#include "pruning.h"
#include "run_lathe.h"

namespace lathe {
namespace {

struct Encoded {
  PruneFiles files;

  std::string at(const std::string& name) const { return files.at(name); }
  CliResult quantize(const std::string& out, const std::vector<std::string>& more) const {
    return run_lathe(joined({"quantize", kGlyphs, "-o", at(out), "--data", "random", "--samples",
                             "4", "--effort", "fast"},
                            more));
  }
};

}  // namespace

TEST_CASE("encodings are written beside the model, listed, and read again") {
  const Encoded run;
  const CliResult first = run.quantize(
      "a.onnx", {"--export-encodings", run.at("e.json"), "--report", run.at("r.json")});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const nlohmann::json report = nlohmann::json::parse(content_of(run.at("r.json")));
  bool listed = false;
  for (const auto& artifact : report["artifacts"])
    listed = listed || artifact["kind"] == "encodings";
  CHECK(listed);
  const CliResult again = run.quantize(
      "b.onnx", {"--import-encodings", run.at("e.json"), "--observer", "entropy", "--json"});
  REQUIRE(again.exit_code == 0);
  const nlohmann::json imported =
      nlohmann::json::parse(again.out)["quantize"]["imported_encodings"];
  CHECK(imported["values"] > 10);
  CHECK(imported["weights"] == 15);
  CHECK(imported["unused"] == 0);
  CHECK(content_of(run.at("a.onnx")) == content_of(run.at("b.onnx")));
  check_refused(run.quantize("c.onnx", {"--export-encodings", run.at("e.json")}), 2, {"e.json"});
}

TEST_CASE("encodings of another model, and other files, are refused before anything is written") {
  const Encoded run;
  run.files.folder.write("e.json",
                         R"({"imagee": [{"quant_type": "QUInt8", "rmin": 0, "rmax": 1}]})");
  const std::vector<std::string> import{"--import-encodings", run.at("e.json")};
  check_refused(run.quantize("a.onnx", import), 3, {"imagee"});
  run.files.folder.write("e.json",
                         R"({"image": [{"quant_type": "QUInt8", "rmin": 1, "rmax": 0}]})");
  check_refused(run.quantize("a.onnx", import), 3, {"image", "rmin"});
  run.files.folder.write("e.json", "{");
  check_refused(run.quantize("a.onnx", import), 3, {"e.json"});
  check_refused(run.quantize("a.onnx", {"--import-encodings", run.at("none.json")}), 3,
                {"none.json"});
  check_refused(run.quantize("a.onnx", {"--export-encodings", "qnn=" + run.at("e2.json")}), 2,
                {"qnn"});
  check_refused(
      run.quantize("a.onnx", {"--mode", "dynamic", "--export-encodings", run.at("e2.json")}), 2,
      {"--export-encodings"});
  CHECK_FALSE(std::filesystem::exists(run.at("a.onnx")));
  // What is not quantized is a warning.
  run.files.folder.write("e.json",
                         R"({"image": [{"quant_type": "QUInt8", "rmin": 0, "rmax": 2}]})");
  const CliResult unused = run.quantize(
      "a.onnx", {"--import-encodings", run.at("e.json"), "--exclude", "/features/features.0/*"});
  CHECK(unused.exit_code == 0);
  CHECK(unused.err.find("not quantized") != std::string::npos);
}

TEST_CASE("tensors by pattern, from the command line or a config, which a report repeats") {
  const Encoded run;
  const CliResult first = run.quantize("a.onnx", {"--tensor", "image=uint16", "--tensor",
                                                  "image=0..2", "--report", run.at("r.json")});
  REQUIRE(first.exit_code == 0);
  const nlohmann::json report = nlohmann::json::parse(content_of(run.at("r.json")));
  CHECK(report["quantize"]["tensor_overrides"]["values"] == 1);
  CHECK(report["quantize"]["coverage"].get<std::string>().ends_with(
      ", 1 of them with 16-bit activations"));
  run.files.folder.write("c.json", R"({"tensor": ["image=uint16", "image=0..2"]})");
  CHECK(run.quantize("b.onnx", {"--config", run.at("c.json")}).exit_code == 0);
  CHECK(content_of(run.at("a.onnx")) == content_of(run.at("b.onnx")));
  const std::vector<std::string> repeated{"--config", run.at("r.json"), "--report",
                                          run.at("r2.json")};
  CHECK(run.quantize("d.onnx", repeated).exit_code == 0);
  CHECK(content_of(run.at("a.onnx")) == content_of(run.at("d.onnx")));
  check_refused(run.quantize("c.onnx", {"--tensor", "imag=uint8"}), 2, {"'imag'"});
  check_refused(run.quantize("c.onnx", {"--tensor", "image=float"}), 2, {"float", "uint16"});
  check_refused(run.quantize("c.onnx", {"--tensor", "image=uint8", "--mode", "dynamic"}), 2,
                {"--tensor"});
}

}  // namespace lathe
