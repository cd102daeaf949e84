// What lathe quantize says and leaves behind around the quantization itself: data that are of no
// use, commands that fail, dry runs, devices that cannot, metrics that fit the outputs.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <sstream>

#include "float_npy.h"
#include "onnx/read_fixtures.h"
#include "pruning.h"
#include "report_schema.h"
#include "text_model.h"

namespace lathe {
namespace {

using nlohmann::json;

// Of `samples` pictures of 16 values each.
std::vector<float> pictures(int samples, float (*value)(int sample, int at)) {
  std::vector<float> values;
  for (int sample = 0; sample < samples; ++sample)
    for (int at = 0; at < 16; ++at) values.push_back(value(sample, at));
  return values;
}

struct FlowFiles {
  ScratchDirectory folder;
  std::string at(const std::string& name) const { return folder.path(name); }
  std::string model(const std::string& name, const std::string& body) const {
    return write_model(folder, name, body);
  }
  // A picture to a picture; `batch`: "1" or "N".
  std::string picture(const std::string& batch) const {
    return model("picture" + batch + ".onnx", "agraph (float[" + batch + ",1,4,4] x) => (float[" +
                                                  batch +
                                                  ",2,4,4] y) <float[2,1,3,3] w = " + numbers(18) +
                                                  "> { y = Conv<pads = [1, 1, 1, 1]>(x, w) }");
  }
  std::string products() const {
    return model("p.onnx", "agraph (float[2,64] x) => (float[2,8] y) <float[64,16] w = " +
                               numbers(1024) + ", float[16,8] v = " + numbers(128) +
                               "> { a = MatMul(x, w)  b = Relu(a)  y = MatMul(b, v) }");
  }
  // Convolutions do most of the work, the GRU has most of the weights.
  std::string denoiser() const {
    return model("d.onnx",
                 "agraph (float[1,1,8,8] x, float[1,1,8] s) => (float[1,4,8,8] y, float[1,1,1,8] g)"
                 " <float[4,1,3,3] w = " +
                     numbers(36) + ", float[1,24,8] W = " + numbers(192) +
                     ", float[1,24,8] R = " + numbers(192) +
                     "> { y = Conv<pads = [1, 1, 1, 1]>(x, w)"
                     " g = GRU<hidden_size = 8>(s, W, R) }");
  }
  CliResult quantize(const std::string& from, const std::vector<std::string>& more) const {
    return run_lathe(joined({"quantize", from, "-o", at("q.onnx"), "--force"}, more));
  }
  json quantized(const std::string& from, const std::vector<std::string>& more) const {
    const CliResult result = quantize(from, joined(more, {"--json"}));
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
    const json report = report_of(result);
    CHECK(schema_errors(report) == "");
    return report;
  }
};

// Messages with this code.
std::vector<std::string> warned(const json& report, const std::string& code) {
  std::vector<std::string> found;
  for (const json& warning : report["warnings"])
    if (warning["code"] == code) {
      CHECK(!warning["hint"].get<std::string>().empty());
      found.push_back(warning["message"]);
    }
  return found;
}

}  // namespace

TEST_CASE("calibration data of no use are named") {
  const FlowFiles files;
  const auto zero = [](int, int) { return 0.0f; };
  const auto ramp = [](int, int at) { return 0.1f * static_cast<float>(at); };
  const auto other = [](int sample, int at) { return 0.1f * static_cast<float>(at - sample); };
  struct Case {
    std::string batch;
    int samples;
    float (*value)(int, int);
    std::string said;  // "": nothing
    bool as_batch = false;
  };
  for (const Case& one : std::vector<Case>{{"1", 5, zero, "one value throughout (0)"},
                                           {"1", 1, zero, "one value throughout (0)"},
                                           {"1", 5, ramp, "all 5 samples"},
                                           {"1", 1, ramp, "one sample only"},
                                           {"N", 5, other, "one feed of 5 items", true},
                                           {"N", 5, other, ""},
                                           {"N", 5, ramp, "all 5 samples"},
                                           {"1", 5, other, ""}}) {
    CAPTURE(one.said);
    std::string data = files.folder.write(
        "x.npy", float_npy({one.samples, 1, 4, 4}, pictures(one.samples, one.value)));
    if (one.as_batch)
      data = files.folder.write("x.json", R"({"format": "npy", "path": "x.npy", "batch": true})");
    const json report = files.quantized(files.picture(one.batch), {"--data", data});
    const auto messages = warned(report, "quantize.calibration_data");
    REQUIRE(messages.size() == (one.said.empty() ? 0 : 1));
    if (!one.said.empty()) CHECK(messages[0].find(one.said) != std::string::npos);
    // Nothing is fitted to what cannot judge it.
    CHECK(report["quantize"]["rounding"].empty() == !one.said.empty());
    CHECK(report["quantize"]["equalization"].empty());
    // What looks at no activations does not mind.
    const json weights = files.quantized(
        files.picture(one.batch), {"--data", data, "--mode", "weight-only", "--effort", "fast"});
    CHECK(warned(weights, "quantize.calibration_data").empty());
  }
  const json random = files.quantized(files.picture("1"), {"--data", "random", "--samples", "1"});
  CHECK(warned(random, "quantize.calibration_data").empty());
}

TEST_CASE("a command that fails on the quantized model costs its verdict, not the model") {
  const FlowFiles files;
  const std::string command =
      write_script(files.folder, "metric",
                   "case \"$1\" in */.lathe-*) echo 'no such op' >&2; exit 4;; esac; echo 0.9");
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{}, {"--max-drop", "1%"}}) {
    std::filesystem::remove(files.at("q.onnx"));
    const CliResult result = files.quantize(
        files.picture("1"),
        joined({"--data", "random", "--eval-command", command, "--report", files.at("r.json")},
               more));
    INFO(result.err);
    CHECK(result.exit_code == 3);
    CHECK(result.err.find("with the quantized model it ended with code 4: no such op") !=
          std::string::npos);
    CHECK(result.err.find("q.onnx was written, not judged") != std::string::npos);
    CHECK(run_lathe({"inspect", files.at("q.onnx")}).exit_code == 0);
    const json report = json::parse(content_of(files.at("r.json")));
    CHECK(report.at("exit_code") == 3);
    const json manifest = json::parse(content_of(files.at("q.onnx.manifest.json")));
    CHECK(manifest.at("verified") == false);
  }
}

TEST_CASE("a command that fails on the float model ends before the work starts") {
  const FlowFiles files;
  const std::string command = write_script(files.folder, "metric", "exit 4");
  check_refused(files.quantize(files.picture("1"), {"--data", "random", "--eval-command", command,
                                                    "--statistics", files.at("s.json")}),
                3, {"with the float model it ended with code 4"});
  CHECK_FALSE(std::filesystem::exists(files.at("q.onnx")));
  CHECK_FALSE(std::filesystem::exists(files.at("s.json")));
}

TEST_CASE("what is wrong with --eval shows before the work starts") {
  const FlowFiles files;
  const std::vector<std::vector<std::string>> cases{{"--eval", files.at("none.npy")},
                                                    {"--eval", "random", "--metric", "top1"}};
  for (const auto& more : cases) {
    const CliResult result = files.quantize(
        files.picture("1"), joined({"--data", "random", "--statistics", files.at("s.json")}, more));
    CHECK(result.exit_code != 0);
    CHECK_FALSE(std::filesystem::exists(files.at("s.json")));
  }
}

TEST_CASE("--time leaves out what would improve the network, and says what") {
  const PruneFiles files;
  const std::string data = draw_glyphs(files.folder, "train", 12, 5, false);
  const auto quantize = [&](const std::string& out, const std::vector<std::string>& more) {
    return run_lathe(
        joined({"quantize", kGlyphs, "-o", files.at(out), "--data", data, "--json"}, more));
  };
  const CliResult none = quantize("a.onnx", {"--time", "1us"});
  INFO(none.err);
  REQUIRE(none.exit_code == 0);
  const nlohmann::json left = nlohmann::json::parse(none.out)["quantize"]["left_out"];
  CHECK(left == nlohmann::json::parse(
                    R"(["equalization", "ranges by outputs", "balanced rounding", "diagnosis"])"));
  CHECK(none.err.find("without equalization, ranges by outputs, balanced rounding") !=
        std::string::npos);
  // What is left is what --effort fast makes.
  REQUIRE(quantize("b.onnx", {"--effort", "fast"}).exit_code == 0);
  CHECK(content_of(files.at("a.onnx")) == content_of(files.at("b.onnx")));
  const CliResult all = quantize("c.onnx", {"--time", "1h"});
  REQUIRE(all.exit_code == 0);
  CHECK_FALSE(nlohmann::json::parse(all.out)["quantize"].contains("left_out"));
  for (const char* wrong : {"0s", "-1s", "soon", "5"})
    check_refused(run_lathe({"quantize", kGlyphs, "-o", files.at("d.onnx"), "--data", data,
                             std::string("--time=") + wrong}),
                  2, {"--time"});
}

TEST_CASE("a dry run writes no file at all") {
  const FlowFiles files;
  const std::string model = files.picture("1");
  const std::vector<std::string> before = listing(files.folder.path());
  const json report =
      files.quantized(model, {"--data", "random", "--dry-run", "--report", files.at("r.json"),
                              "--html", files.at("r.html"), "--statistics", files.at("s.json")});
  CHECK(report["plan"]["nodes"].size() == 1);
  CHECK(listing(files.folder.path()) == before);
}

TEST_CASE("a rounding that was tried in vain is told, and only that") {
  const FlowFiles files;
  const std::string data = draw_glyphs(files.folder, "glyphs", 12, 3);
  for (const std::string granularity : {"channel", "tensor"}) {
    const CliResult result = files.quantize(kGlyphs, {"--data", data, "--weight-granularity",
                                                      granularity, "--report", files.at("r.json")});
    REQUIRE(result.exit_code == 0);
    const json details = json::parse(content_of(files.at("r.json"))).at("quantize");
    const bool kept = details.at("rounding").at("kept");
    CAPTURE(kept);
    CHECK((result.out.find("rounding layer by layer (output SQNR") == std::string::npos) == kept);
    bool all = true;
    for (const json& row : details.at("equalization")) all &= row.value("kept", true);
    CHECK((result.out.find("equalize_channels (") == std::string::npos) == all);
  }
}

TEST_CASE("what the device's runtime cannot execute is refused") {
  const FlowFiles files;
  const std::string model = files.products();
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--format", "qoperator", "--profile", "esp32"}, "QLinearConv"},
      {{"--format", "qoperator", "--profile", "server-gpu"}, "QLinearConv"},
      {{"--mode", "float16", "--profile", "esp32"}, "float16"},
      {{"--mode", "dynamic", "--profile", "esp32"}, "DynamicQuantizeLinear"}};
  for (const auto& [flags, named] : cases) {
    CAPTURE(named);
    const CliResult result = files.quantize(model, joined({"--data", "random"}, flags));
    check_refused(result, 2, {"its runtime", named});
    CHECK(result.err.find("--profile") != std::string::npos);
  }
  const CliResult small = files.quantize(model, {"--mode", "float16", "--profile", "cortex-m4"});
  CHECK(small.exit_code == 2);
  CHECK(files.quantize(model, {"--mode", "float16", "--profile", "server-gpu"}).exit_code == 0);
  CHECK(files.quantize(model, {"--mode", "weight-only", "--profile", "esp32"}).exit_code == 0);
}

TEST_CASE("--format qoperator counts what stays in float") {
  const FlowFiles files;
  const std::string model =
      files.model("t.onnx", "agraph (float[1,2,4,4] x) => (float[1,2,4,4] y) <float[2,2,1,1] w = " +
                                numbers(4) + ", float[2,2,1,1] v = " + numbers(4) +
                                "> { a = Conv(x, w)  b = Relu(a)  y = ConvTranspose(b, v) }");
  const json report = files.quantized(model, {"--data", "random", "--format", "qoperator"});
  CHECK(report["model_out"]["ops"]["QLinearConv"] == 1);
  CHECK(report["model_out"]["ops"]["ConvTranspose"] == 1);
  CHECK(report["quantize"]["coverage"] ==
        "1 of 2 compute nodes int8 operators, 1 with int8 inputs only");
  REQUIRE(report["plan"]["exceptions"].size() == 1);
  CHECK(report["plan"]["exceptions"][0]["node_type"] == "ConvTranspose");
  const json qdq = files.quantized(model, {"--data", "random"});
  CHECK(qdq["quantize"]["coverage"] == "2 of 2 compute nodes int8");
}

TEST_CASE("auto tells why it chose static, and what recurrent networks get") {
  const FlowFiles files;
  const CliResult result = files.quantize(files.picture("1"), {"--mode", "auto"});
  check_refused(result, 2, {"--mode auto chose static", "convolutions", "calibration data"});
  CHECK(result.err.find("--data random") != std::string::npos);
  const json report = files.quantized(files.denoiser(), {"--mode", "auto"});
  CHECK(report["quantize"]["mode"] == "dynamic");
  CHECK(report["quantize"]["mode_reason"].get<std::string>().find("recurrent layers") !=
        std::string::npos);
}

TEST_CASE("errors that are easily made tell what to do") {
  const FlowFiles files;
  const std::string model = files.picture("1");
  const std::string empty = files.folder.write("empty.npy", float_npy({0, 1, 4, 4}, {}));
  std::filesystem::create_directory(files.at("pictures"));
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--data", files.at("none.npy")}, "data.open"},
      {{"--data", files.at("pictures")}, "data.empty"},
      {{"--data", empty}, "data.empty"},
      {{"--data", "random", "--include", ""}, "glob.empty"},
      {{"--data", "random", "--exclude", "*"}, "usage.selection"},
      {{"--data", "random", "--max-drop", "1%"}, "usage.eval"}};
  for (const auto& [flags, code] : cases) {
    CAPTURE(code);
    const CliResult result = files.quantize(model, joined(flags, {"--json"}));
    CHECK(result.exit_code >= 2);
    const json error = report_of(result).at("error");
    CHECK(error.at("code") == code);
    CHECK(!error.at("hint").get<std::string>().empty());
  }
  const json missing =
      report_of(files.quantize(files.at("none.onnx"), {"--data", "random", "--json"}));
  CHECK(missing.at("error").at("code") == "file.missing");
  CHECK(!missing.at("error").at("hint").get<std::string>().empty());
}

TEST_CASE("agreement is for classes, signal to noise for everything else") {
  const FlowFiles files;
  const std::vector<std::string> evaluated{"--data", "random", "--eval", "random"};
  const json classes = files.quantized(files.products(), evaluated);
  CHECK(classes["quality"][0]["metric"] == "agreement");
  const json picture = files.quantized(files.picture("1"), evaluated);
  CHECK(picture["quality"][0]["metric"] == "sqnr");
  CHECK(picture["quality"].size() == 1);
  CHECK(picture["quality"][0]["after"].get<double>() > 20);
  const CliResult screen = files.quantize(files.denoiser(), joined(evaluated, {"--samples", "4"}));
  REQUIRE(screen.exit_code == 0);
  CHECK(screen.out.find("sqnr ") != std::string::npos);
  CHECK(screen.out.find("agreement") == std::string::npos);
  CHECK(screen.out.find("· g ") != std::string::npos);  // the second output
  // Asked for, it is given.
  const json asked =
      files.quantized(files.picture("1"), joined(evaluated, {"--metric", "agreement"}));
  CHECK(asked["quality"][0]["metric"] == "agreement");
}

TEST_CASE("--max-drop by agreement says when that means little, or nothing") {
  const FlowFiles files;
  const std::vector<std::string> target{"--data", "random",     "--eval",
                                        "random", "--max-drop", "50%"};
  const CliResult picture = files.quantize(files.picture("1"), joined(target, {"--json"}));
  CHECK((picture.exit_code == 0 || picture.exit_code == 4));
  CHECK(warned(report_of(picture), "quantize.metric").size() == 1);
  const std::string one =
      files.model("one.onnx",
                  "agraph (float[1,1,4,4] x) => (float[1,1,4,4] y) <float[1,1,1,1] w = {0.3}> "
                  "{ y = Conv(x, w) }");
  check_refused(files.quantize(one, target), 2, {"1x1x4x4", "all agree"});
  CHECK(files.quantize(one, joined(target, {"--metric", "mse"})).exit_code == 0);
}

TEST_CASE("the hint takes what makes most of the noise together, and following it helps") {
  const FlowFiles files;
  // Twice the same: a value whose second half of channels is 100 times smaller and enlarged again
  // by the layer that reads it. One of them in float changes little.
  const auto repeated = [](const char* first, const char* second, int channels, int each) {
    std::string text = "{";
    for (int c = 0; c < channels; ++c)
      for (int i = 0; i < each; ++i)
        text += (text.size() > 1 ? ", " : "") + std::string(c < channels / 2 ? first : second);
    return text + "}";
  };
  const std::string model =
      files.model("h.onnx",
                  "agraph (float[1,1,4,4] x) => (float[1,4,4,4] y)"
                  " <float[4,1,3,3] w0 = " +
                      numbers(36) + ", float[1,4,1,1] s = " + repeated("1", "0.01", 4, 1) +
                      ", float[4,1,1,1] d = " + repeated("0.5", "100", 4, 1) +
                      ", float[4,4,1,1] w1 = " + numbers(16) +
                      "> { a = Conv<pads = [1, 1, 1, 1]>(x, w0)  b = Tanh(a)  c = Mul(b, s)"
                      "    e = Conv<group = 4>(c, d)  f = Tanh(e)  g = Mul(f, s)"
                      "    h = Conv<group = 4>(g, d)  i = Tanh(h)  y = Conv(i, w1) }");
  const auto noise = [](int sample, int at) {
    return static_cast<float>((sample * 7919 + at * 104729) % 1009) / 500 - 1;
  };
  const std::string data =
      files.folder.write("x.npy", float_npy({40, 1, 4, 4}, pictures(40, noise)));
  const std::vector<std::string> flags{"--data", data, "--eval", data, "--effort", "fast"};
  const json bad = files.quantized(model, flags);
  std::string hint = bad["quantize"]["hint"];
  CAPTURE(bad["quantize"]["diagnosis"].dump());
  CAPTURE(hint);
  for (const char* node : {"'Conv_3'", "'Conv_6'"}) CHECK(hint.find(node) != std::string::npos);
  std::vector<std::string> words;
  for (std::stringstream text(hint); text >> hint;) {
    std::erase(hint, '\'');
    words.push_back(hint);
  }
  std::vector<std::string> next{"--data", data, "--eval", data};
  const json mended = files.quantized(model, joined(next, words));
  CHECK(mended["quality"][0]["after"].get<double>() > bad["quality"][0]["after"].get<double>() + 6);
  // What was given is not advised again.
  CHECK(mended["quantize"]["hint"].get<std::string>().find("'Conv_3'") == std::string::npos);
}

TEST_CASE("random data are never answered with more effort") {
  const FlowFiles files;
  // Two channels of very different size behind one scale.
  const std::string model =
      files.model("s.onnx",
                  "agraph (float[1,2,4,4] x) => (float[1,2,4,4] y) <float[2,2,1,1] w = "
                  "{100, 70, 0.01, 0.02}, float[2,2,1,1] v = {0.0001, 1, 0.0002, 1}> "
                  "{ a = Conv(x, w)  y = Conv(a, v) }");
  for (const std::string effort : {"fast", "balanced"}) {
    const json report = files.quantized(
        model, {"--data", "random", "--effort", effort, "--weight-granularity", "tensor"});
    const json& details = report["quantize"];
    REQUIRE(!details["diagnosis"].empty());
    CHECK(!details["hint"].get<std::string>().empty());
    CHECK(details["hint"].get<std::string>().find("--effort") == std::string::npos);
    for (const json& row : details["diagnosis"])
      CHECK(row["flag"].get<std::string>().find("--effort") == std::string::npos);
  }
}

}  // namespace lathe
