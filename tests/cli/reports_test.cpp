// What commands leave behind: reports that the schema accepts, artifacts that can be made again.
#include <nlohmann/json.hpp>

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "onnx/read_fixtures.h"
#include "report_schema.h"
#include "run_lathe.h"
#include "running_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// Conv, Relu, global pooling, Gemm: 1x3x16x16 -> 1x4. `repeats` further convolutions.
std::string network(int repeats = 0, int size = 16) {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.clear_input();
  graph.clear_output();
  add_info(*graph.add_input(), "x", {1, 3, size, size});
  add_info(*graph.add_output(), "y", {1, 4});
  uint32_t state = 1;
  const auto weight = [&](const std::string& name, std::initializer_list<int64_t> dims) {
    onnx::TensorProto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(1);
    int64_t count = 1;
    for (const int64_t dim : dims) {
      tensor.add_dims(dim);
      count *= dim;
    }
    for (int64_t i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      tensor.add_float_data(static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
    }
  };
  const auto conv = [&](const std::string& in, const std::string& w, const std::string& out) {
    onnx::NodeProto& node = add_node(graph, "Conv", {in, w}, {out});
    node.set_name("conv_" + out);
    onnx::AttributeProto& pads = add_attribute(node, "pads", onnx::AttributeProto::INTS);
    for (int i = 0; i < 4; ++i) pads.add_ints(1);
  };
  weight("w0", {8, 3, 3, 3});
  conv("x", "w0", "c0");
  add_node(graph, "Relu", {"c0"}, {"r0"});
  for (int i = 1; i <= repeats; ++i) {
    const std::string n = std::to_string(i);
    weight("w" + n, {8, 8, 3, 3});
    conv("r" + std::to_string(i - 1), "w" + n, "c" + n);
    add_node(graph, "Relu", {"c" + n}, {"r" + n});
  }
  add_node(graph, "GlobalAveragePool", {"r" + std::to_string(repeats)}, {"p"});
  add_node(graph, "Flatten", {"p"}, {"f"});
  weight("g", {8, 4});
  add_node(graph, "Gemm", {"f", "g"}, {"y"});
  return model.SerializeAsString();
}

struct ReportFiles {
  ScratchDirectory folder;
  std::string model = folder.write("m.onnx", network());
  std::string at(const std::string& name) const { return folder.path(name); }
  CliResult quantize(const std::string& out, std::vector<std::string> more) const {
    std::vector<std::string> words{"quantize", model, "-o", at(out)};
    words.insert(words.end(), more.begin(), more.end());
    return run_lathe(words);
  }
};

json read_report(const std::string& path) {
  const json report = json::parse(content_of(path), nullptr, false);
  REQUIRE(report.is_object());
  CHECK(schema_errors(report) == "");
  CHECK(report.at("schema") == "lathe.report");
  return report;
}

}  // namespace

TEST_CASE("every command's report follows the schema, with device, warnings, memory and time") {
  const ReportFiles files;
  const std::string quantized = files.at("q.onnx");
  const std::string trace = files.folder.write(
      "t.json", R"({"traceEvents":[{"name":"Conv","ph":"X","ts":1,"dur":2,"pid":1,"tid":1}]})");
  const std::string jobs = files.folder.write(
      "jobs.json",
      json{{"models", {files.model}}, {"steps", {{{"command", "compile"}, {"target", "native"}}}}}
          .dump());
  const std::vector<std::vector<std::string>> commands{
      {"quantize", files.model, "-o", quantized, "--data", "random", "--samples", "6", "--eval",
       "random"},
      {"inspect", files.model},
      {"inspect", quantized},
      {"prune", files.model, "-o", files.at("p.onnx"), "--sparsity", "50%", "--latency", "off"},
      {"distill", "--teacher", files.model, "--student-width", "50%", "--data", "random",
       "--epochs", "1", "--latency", "off", "-o", files.at("s.onnx")},
      {"compile", files.model, "-o", files.at("c.onnx"), "--threads", "512"},  // warns
      {"compile", files.model, "--dry-run"},
      {"run", files.model, "--data", "random", "--samples", "2", "--dry-run"},
      {"zoo", "list"},
      {"zoo", "lstm_autoencoder", "--dry-run"},
      {"profiles", "list"},
      {"profiles", "show", "esp32"},
      {"trace", trace},
      {"batch", jobs, "-o", files.at("batch")},
      {"run", files.model, "--data", "random", "--samples", "2", "-o", files.at("y.npz")},
      {"compare", files.model, quantized, "--data", "random", "--samples", "3"},
      {"bench", files.model, "--iterations", "12"},
      {"bench", files.model, "--iterations", "12", "--batch", "1", "--threads", "1,2"},
      {"bench", files.model, "--dry-run"},
      {"bench", files.model, "--self-check", "--max-time", "1s"},
      {"bench", quantized, "--against", files.model, "--iterations", "12"}};
  int number = 0;
  for (std::vector<std::string> words : commands) {
    const std::string path = files.at("report" + std::to_string(number++) + ".json");
    words.insert(words.end(), {"--report", path});
    CAPTURE(words[0]);
    const CliResult result = run_lathe(words);
    INFO("stderr: ", result.err);
    // On a noisy machine a comparison stays open, and a self-check may fail.
    CHECK((result.exit_code == 0 || (words[0] == "bench" && result.exit_code == 5) ||
           ((words.size() > 2 && words[2] == "--self-check") && result.exit_code == 4)));
    const json report = read_report(path);
    CHECK(report.at("exit_code") == result.exit_code);
    CHECK(report.at("run").at("command") == words[0]);
    CHECK(report.at("complete") == true);
    CHECK(report.at("device_profile").at("name") == "x86-64-vnni");
    CHECK(report.at("memory").at("hwm_bytes") > 0);
    CHECK(report.at("run").at("duration_ns") > 0);
    // What was warned of on the screen is in the report.
    size_t warned = 0;
    for (size_t at = 0; (at = result.err.find("warning[", at)) != std::string::npos; ++at) ++warned;
    CHECK(report.at("warnings").size() == warned);
    CHECK((warned > 0 || std::find(words.begin(), words.end(), "512") == words.end()));
    CHECK(result.out.find("\"schema\"") == std::string::npos);
  }
}

TEST_CASE("--json prints one document on stdout and nothing else") {
  const ReportFiles files;
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"inspect", files.model},
           {"quantize", files.model, "-o", files.at("q.onnx"), "--data", "random", "--samples",
            "4"},
           {"run", files.model, "--data", "random", "--samples", "1", "-o", files.at("y.npz")},
           {"compare", files.model, files.model, "--data", "random", "--samples", "1"},
           {"bench", files.model, "--iterations", "10"}}) {
    std::vector<std::string> full = words;
    full.push_back("--json");
    CAPTURE(words[0]);
    const CliResult result = run_lathe(full);
    INFO("stderr: ", result.err);
    const json report = report_of(result);
    CHECK(schema_errors(report) == "");
    CHECK(report.at("run").at("command") == words[0]);
  }
}

TEST_CASE("a failure leaves a report too, with its code") {
  const ReportFiles files;
  const std::string report = files.at("r.json");
  const CliResult failed = run_lathe({"quantize", files.at("none.onnx"), "--data", "random", "-o",
                                      files.at("q.onnx"), "--report", report});
  check_refused(failed, 3, {"none.onnx"});
  const json found = read_report(report);
  CHECK(found.at("exit_code") == 3);
  CHECK(found.at("complete") == false);
  CHECK(found.at("memory").at("hwm_bytes") > 0);
  CHECK(found.at("run").at("duration_ns") > 0);
  CHECK_FALSE(std::filesystem::exists(files.at("q.onnx")));

  const CliResult printed =
      run_lathe({"inspect", files.folder.write("bad.onnx", "no model"), "--json"});
  CHECK(printed.exit_code == 3);
  const json report_on_stdout = report_of(printed);
  CHECK(schema_errors(report_on_stdout) == "");
}

TEST_CASE("the same flags, a report's recipe and saved statistics give the same bytes") {
  const ReportFiles files;
  const std::string report = files.at("r.json");
  const std::string statistics = files.at("s.json");
  const CliResult first = files.quantize(
      "a.onnx", {"--data", "random", "--samples", "7", "--seed", "5", "--observer", "mse",
                 "--exclude", "op:Gemm", "--statistics", statistics, "--report", report});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const std::string bytes = content_of(files.at("a.onnx"));
  CHECK(bytes.size() > 500);
  read_report(report);

  const CliResult recipe = files.quantize("b.onnx", {"--config", report});
  INFO(recipe.err);
  CHECK(recipe.exit_code == 0);
  CHECK((content_of(files.at("b.onnx")) == bytes));

  const CliResult saved = files.quantize(
      "c.onnx", {"--observer", "mse", "--exclude", "op:Gemm", "--statistics", statistics});
  INFO(saved.err);
  CHECK(saved.exit_code == 0);
  CHECK((content_of(files.at("c.onnx")) == bytes));

  const CliResult one =
      files.quantize("d.onnx", {"--data", "random", "--samples", "7", "--seed", "5", "--observer",
                                "mse", "--exclude", "op:Gemm", "--threads", "1"});
  CHECK(one.exit_code == 0);
  CHECK((content_of(files.at("d.onnx")) == bytes));
  const CliResult other =
      files.quantize("e.onnx", {"--data", "random", "--samples", "7", "--seed", "6", "--observer",
                                "mse", "--exclude", "op:Gemm"});
  CHECK(other.exit_code == 0);
  CHECK_FALSE((content_of(files.at("e.onnx")) == bytes));
}

TEST_CASE("damaged or foreign statistics are refused and nothing is written") {
  const ReportFiles files;
  for (const std::string text :
       {"", "{}", R"({"schema":"lathe.statistics","samples":1,"values":{},"channel_means":{}})"}) {
    const std::string path = files.folder.write("s.json", text);
    check_refused(files.quantize("q.onnx", {"--statistics", path}), 3, {});
    CHECK_FALSE(std::filesystem::exists(files.at("q.onnx")));
  }
}

TEST_CASE("a dry run writes no model and no statistics, but says its plan") {
  const ReportFiles files;
  const CliResult result = files.quantize(
      "q.onnx",
      {"--data", "random", "--samples", "4", "--dry-run", "--statistics", files.at("s.json")});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("nothing was written") != std::string::npos);
  CHECK(listing(files.folder.path()) == std::vector<std::string>{files.model});
  const CliResult run = run_lathe({"run", files.model, "--data", "random", "--samples", "1", "-o",
                                   files.at("y.npz"), "--dry-run"});
  CHECK(run.exit_code == 0);
  CHECK(listing(files.folder.path()) == std::vector<std::string>{files.model});
}

TEST_CASE("a missed --max-drop ends with 4 and still writes model and report") {
  const ReportFiles files;
  const CliResult result =
      files.quantize("q.onnx", {"--data", "random", "--samples", "8", "--eval", "random",
                                "--metric", "mse", "--max-drop", "0%", "--weight-granularity",
                                "tensor", "--report", files.at("r.json")});
  INFO(result.out, result.err);
  CHECK(result.exit_code == 4);
  CHECK(result.out.find("FAIL --max-drop") != std::string::npos);
  CHECK(std::filesystem::exists(files.at("q.onnx")));
  const json report = read_report(files.at("r.json"));
  CHECK(report.at("exit_code") == 4);
  CHECK(report.at("verdict") == "fail");
  CHECK(run_lathe({"inspect", files.at("q.onnx")}).exit_code == 0);

  const CliResult passed =
      files.quantize("q.onnx", {"--data", "random", "--samples", "8", "--eval", "random",
                                "--metric", "mse", "--max-drop", "99%", "--force"});
  INFO(passed.err);
  CHECK(passed.exit_code == 0);
}

TEST_CASE("an interrupt during calibration ends with 130 and leaves nothing") {
  const ScratchDirectory folder;
  const std::string model = folder.write("m.onnx", network(12, 256));
  const std::string out = folder.path("q.onnx");
  for (const int number : {SIGINT, SIGTERM}) {
    CAPTURE(number);
    RunningLathe lathe({"quantize", model, "-o", out, "--data", "random", "--samples", "1000000",
                        "--threads", "1", "--quiet"});
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    REQUIRE_FALSE(lathe.ended());  // still at work
    lathe.send(number);
    CHECK(lathe.finish(10) == (number == SIGINT ? 130 : 143));
    CHECK(listing(folder.path()) == std::vector<std::string>{model});
  }
}

}  // namespace lathe
