// lathe quantize --max-drop in the modes without calibration.
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "onnx/read_fixtures.h"
#include "pruning.h"
#include "report_schema.h"
#include "run_lathe.h"
#include "running_lathe.h"
#include "text_model.h"

namespace lathe {
namespace {

using nlohmann::json;

// `first` makes equal neighbours, of which `second` takes the small difference of two large
// products: rounded weights of `second` lose it.
std::string first_weight() {
  std::string text;
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < 16; ++column)
      text += (text.empty() ? "" : ", ") +
              std::to_string(0.01 * (((row * 8 + column / 2) * 37) % 101) - 0.5);
  return text;
}

std::string second_weight() {
  std::string text;
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column)
      text += (text.empty() ? "" : ", ") +
              std::to_string((row % 2 == 0 ? 1000.37 : -1000.0) +
                             0.013 * ((row / 2 * 8 + column) % 7) * (row % 2 == 0 ? 1 : -1));
  return text;
}

struct ModeTarget {
  ScratchDirectory folder;
  std::string model = make_model();

  std::string make_model() const {
    return write_model(
        folder, "m.onnx",
        "agraph (float[2,64] x) => (float[2,8] y) <float[64,16] w = {" + first_weight() +
            "}, float[16,8] v = {" + second_weight() + "}, float[8,8] u = " + numbers(64, 5) +
            "> { a = MatMul(x, w)  b = Relu(a)  c = MatMul(b, v)  d = Tanh(c)  y = MatMul(d, u) }");
  }
  std::string at(const std::string& name) const { return folder.path(name); }
  CliResult quantize(const std::string& mode, const std::string& out,
                     const std::vector<std::string>& more) const {
    return run_lathe(
        joined({"quantize", model, "-o", at(out), "--mode", mode, "--eval", "random"}, more));
  }
  json report(const std::string& name) const {
    const json report = json::parse(content_of(at(name)), nullptr, false);
    REQUIRE(report.is_object());
    CHECK(schema_errors(report) == "");
    return report;
  }
  double full_error(const std::string& mode, const std::vector<std::string>& more) const {
    const CliResult result =
        quantize(mode, "full.onnx",
                 joined({"--metric", "mse", "--force", "--report", at("full.json")}, more));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return report("full.json").at("quality").at(0).at("after").get<double>();
  }
};

struct Mode {
  std::string name;
  std::vector<std::string> flags;
  std::string op;  // of what is left quantized
};

const std::vector<Mode> kModes{{"weight-only", {}, "DequantizeLinear"},
                               {"weight-only", {"--weight-bits", "4"}, "DequantizeLinear"},
                               {"dynamic", {}, "MatMulInteger"},
                               {"float16", {}, "Cast"}};

std::string precise_percent(double fraction) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.15f%%", 100 * fraction);
  return text;
}

}  // namespace

TEST_CASE("modes without calibration: the one layer that spoils it goes back to float") {
  const ModeTarget target;
  for (const Mode& mode : kModes) {
    CAPTURE(mode.name);
    const double full = target.full_error(mode.name, mode.flags);
    const std::vector<std::string> flags =
        joined({"--metric", "mse", "--max-drop", precise_percent(full / 4), "--force"}, mode.flags);
    const CliResult result =
        target.quantize(mode.name, "a.onnx", joined(flags, {"--report", target.at("a.json")}));
    INFO(result.out, result.err);
    REQUIRE(result.exit_code == 0);
    const json report = target.report("a.json");
    const json& mixed = report.at("quantize").at("mixed_precision");
    CHECK(mixed.at("held") == true);
    REQUIRE(mixed.at("left_in_float").size() == 1);
    CHECK(mixed.at("candidates").get<size_t>() >= 3);
    CHECK(report.at("gates").at(0).at("verdict") == "pass");
    CHECK(report.at("quality").at(0).at("after").get<double>() <= full / 4);
    // The second of the products, which was measured to be the worst.
    const json& worst = report.at("quantize").at("sensitivity").at("nodes").at(0);
    CHECK(worst.at("node") == mixed.at("left_in_float").at(0));
    CHECK(worst.at("part").get<double>() > 0.5);
    CHECK_FALSE(worst.contains("weight_sqnr_db"));
    size_t named = 0;
    for (const json& row : report.at("plan").at("exceptions"))
      if (row.at("reason") == "given back to float for --max-drop") {
        CHECK(row.at("node") == worst.at("node"));
        ++named;
      }
    CHECK(named == 1);
    CHECK(report.at("model_out").at("ops").contains(mode.op));
    CHECK(result.out.find("1 of ") != std::string::npos);
    // The same file again, whatever the threads.
    const CliResult again = target.quantize(mode.name, "b.onnx", joined(flags, {"--threads", "1"}));
    CHECK(again.exit_code == 0);
    CHECK((content_of(target.at("b.onnx")) == content_of(target.at("a.onnx"))));
    const CliResult kept = run_lathe({"compare", target.model, target.at("a.onnx"), "--data",
                                      "random", "--min-sqnr", mode.flags.empty() ? "20" : "10"});
    CHECK(kept.exit_code == 0);
  }
}

TEST_CASE("modes without calibration: a target out of reach is exit 4, and the best is written") {
  const ModeTarget target;
  for (const Mode& mode : kModes) {
    CAPTURE(mode.name);
    const double full = target.full_error(mode.name, mode.flags);
    const CliResult result = target.quantize(
        mode.name, "q.onnx",
        joined({"--metric", "mse", "--max-drop", "0%", "--force", "--report", target.at("r.json")},
               mode.flags));
    INFO(result.out, result.err);
    CHECK(result.exit_code == 4);
    CHECK(result.out.find("FAIL --max-drop 0% missed") != std::string::npos);
    CHECK(result.out.find("out of reach") != std::string::npos);
    CHECK(result.out.find("% of the error; alone ") != std::string::npos);
    CHECK(result.out.find("only --mode static") == std::string::npos);
    const json report = target.report("r.json");
    CHECK(report.at("gates").at(0).at("verdict") == "fail");
    CHECK(report.at("quantize").at("mixed_precision").at("finished") == true);
    CHECK(report.at("quality").at(0).at("after").get<double>() < full);
    CHECK(report.at("model_out").at("ops").contains(mode.op));
    CHECK(run_lathe({"inspect", target.at("q.onnx")}).exit_code == 0);
  }
}

TEST_CASE("modes without calibration: an interrupt during the search writes the best so far") {
  const ModeTarget target;
  const std::string ready = target.at("ready");
  // The float model, all in integers and one less are judged; then it hangs.
  const std::string command =
      write_script(target.folder, "slow",
                   "echo x >> '" + target.at("calls") + "'\ncount=$(wc -l < '" +
                       target.at("calls") + "')\nif [ $count -ge 4 ]; then : > '" + ready +
                       "'; sleep 60; fi\n"
                       "awk \"BEGIN { print $count == 1 ? 0.9 : 0.5 + $count / 100 }\"");
  RunningLathe lathe({"quantize", target.model, "-o", target.at("q.onnx"), "--mode", "weight-only",
                      "--eval-command", command, "--max-drop", "1%"});
  REQUIRE(lathe.wait_for(ready));
  CHECK_FALSE(std::filesystem::exists(target.at("q.onnx")));
  lathe.send(SIGINT);
  CHECK(lathe.finish() == 130);
  CHECK(run_lathe({"inspect", target.at("q.onnx")}).exit_code == 0);
  // One layer in float was better than none.
  const json manifest = json::parse(content_of(target.at("q.onnx.manifest.json")));
  CHECK(manifest.at("precision") == "2 of 3 nodes with int8 weights");
}

TEST_CASE("layers inside a branch go back as a whole, which is said") {
  const ModeTarget target;
  const std::string model = write_model(
      target.folder, "if.onnx",
      "agraph (float[2,64] x, bool c) => (float[2,8] y) "
      "{ y = If (c) <then_branch = t () => (float[2,8] a) <float[64,8] w = " +
          numbers(512, 1) +
          "> { a = MatMul(x, w) }, else_branch = e () => (float[2,8] b) <float[64,8] v = " +
          numbers(512, 2) + "> { b = MatMul(x, v) }> }");
  for (const Mode& mode : kModes) {
    CAPTURE(mode.name);
    const CliResult result =
        run_lathe(joined({"quantize", model, "-o", target.at("q.onnx"), "--mode", mode.name,
                          "--eval", "random", "--metric", "mse", "--max-drop", "0%", "--force"},
                         mode.flags));
    INFO(result.out, result.err);
    CHECK(result.exit_code == 4);
    CHECK(result.out.find("inside If, Loop or Scan") != std::string::npos);
    CHECK(result.out.find("(If): 100 % of the error") != std::string::npos);
  }
}

TEST_CASE("where --statistics is not read, no search is kept") {
  const ModeTarget target;
  const CliResult refused =
      target.quantize("dynamic", "q.onnx", {"--statistics", target.at("s.json")});
  check_refused(refused, 2, {"--statistics"});
  const CliResult chosen = target.quantize("auto", "q.onnx",
                                           {"--metric", "mse", "--max-drop", "0%", "--data",
                                            "random", "--statistics", target.at("s.json")});
  CHECK(chosen.exit_code == 4);
  CHECK_FALSE(std::filesystem::exists(target.at("s.json.search.json")));
}

}  // namespace lathe
