#include "report/report.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <sstream>

#include "report/json_text.h"
#include "report/markdown.h"
#include "report/strict_json.h"
#include "report_schema.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

using nlohmann::json;

ModelFacts some_model() {
  ModelFacts model;
  model.path_basename = "m.onnx";
  model.sha256 = std::string(64, 'a');
  model.format = "onnx";
  model.opset = 17;
  model.file_bytes = 4096;
  model.params = 1000;
  model.weights_bytes = 4000;
  model.nodes = 3;
  model.ops = {{"Conv", 2}, {"Relu", 1}};
  model.dtype_histogram = {{"float", 1000}};
  return model;
}

Report full_report() {
  Report report;
  report.tool = tool_facts("0.1.0");
  report.tool.backends["libtorch"] = "1.13.1";
  report.run.command = "quantize";
  report.run.argv = {"quantize", "m.onnx", "-o", "q.onnx"};
  report.run.started_utc = "2026-01-31T12:00:00Z";
  report.run.duration_ns = 12345;
  report.recipe = {{"mode", "static"}, {"samples", 256}};
  report.run.config_hash = config_hash(report.recipe);
  report.host = host_facts();
  report.device_profile = {{"name", "x86-64-vnni"}, {"simulated", false}};
  report.model = some_model();
  report.model_out = some_model();
  report.model_out->macs = 500;
  report.model_out->file_bytes = 1024;
  report.steps = {{"fuse-batch-norm", 2, 0.5, std::nullopt}, {"insert-qdq", 0, 0.0, "disabled"}};
  report.plan = {{"values", json::array()}};
  report.quality = {{"top1", 0.9, 0.89, 0.01, 1000, ""},
                    {"mse", 0.5, std::nullopt, std::nullopt, 0, "no data"}};
  report.memory = MemoryFacts{1 << 20, "VmHWM", std::nullopt};
  report.cases = json::array({{{"id", "b1t1"},
                               {"scenario", "single"},
                               {"latency", {{"min", 1000}, {"median", {{"value", 1500.0}}}}},
                               {"throughput", {{"items_per_s", 100.0}}}}});
  report.gates = {
      {"g1", "accuracy_drop", "", "<", 0.02, "fraction", 0.01, std::pair{0.0, 0.015}, "pass", ""},
      {"g2", "p99", "b1t1", "<", 1e6, "ns", std::nullopt, std::nullopt, "inconclusive",
       "needs 662 samples"}};
  report.artifacts = {{"model", "q.onnx", std::string(64, 'b'), 1024}};
  report.warnings = {{"profile.host", "the host lacks VNNI", "--profile x86-64"}};
  return report;
}

TEST_CASE("a full and an empty report satisfy the shipped schema") {
  CHECK(schema_errors(to_json(full_report())) == "");
  CHECK(schema_errors(to_json(Report{})) == "");
}

TEST_CASE("the schema refuses broken reports") {
  const json good = to_json(full_report());
  const auto broken = [&](const char* pointer, json value) {
    json report = good;
    report[json::json_pointer(pointer)] = std::move(value);
    return !schema_errors(report).empty();
  };
  CHECK(broken("/schema", "other"));
  CHECK(broken("/schema_version", "2.0"));
  CHECK(broken("/verdict", "maybe"));
  CHECK(broken("/exit_code", "0"));
  CHECK(broken("/model/sha256", "xyz"));
  CHECK(broken("/steps/0/changes", -1));
  CHECK(broken("/gates/0/op", "=="));
  CHECK(broken("/quality/0/drop", "1%"));
  CHECK(broken("/cases/0/samples/histogram", {{"scale", "linear"}, {"bins", json::array()}}));
  CHECK(broken("/cases/0/samples/histogram", {{"scale", "log"}, {"bins", {{1, 2}}}}));
  CHECK(broken("/comparison",
               {{"mode", "interleaved"},
                {"cases", {{{"id", "x"}, {"verdict", "pass"}, {"block_ratios", {1.0, 1.1}}}}}}));
  CHECK(broken("/verdict", "error"));  // without an error section
  json report = good;
  report.erase("warnings");
  CHECK(!schema_errors(report).empty());
  report = good;
  report["added_in_1_1"] = {{"x", 1}};
  CHECK(schema_errors(report) == "");
}

TEST_CASE("unknown is null with a reason") {
  const json report = to_json(full_report());
  CHECK(report["model"]["macs"].is_null());
  CHECK(report["model"]["macs_reason"] == "shapes are not known");
  CHECK(report["model_out"]["flops"] == 1000);
  CHECK(report["quality"][1]["after"].is_null());
  CHECK(report["quality"][1]["after_reason"] == "no data");
  CHECK(report["gates"][1]["observed_reason"] == "needs 662 samples");
  CHECK(!to_json(Report{}).contains("cases"));
}

TEST_CASE("errors end the report") {
  Report report = full_report();
  set_error(report, bad_input("model.truncated", "ends early", "m.onnx", "download it again"));
  const json out = to_json(report);
  CHECK(schema_errors(out) == "");
  CHECK(out["verdict"] == "error");
  CHECK(out["exit_code"] == 3);
  CHECK(out["complete"] == false);
  CHECK(out["error"]["code"] == "model.truncated");
  CHECK(out["error"]["hint"] == "download it again");
}

TEST_CASE("verdicts and the order of exit codes") {
  CHECK(verdict_of(ExitCode::kDone) == "pass");
  CHECK(verdict_of(ExitCode::kGateMissed) == "fail");
  CHECK(verdict_of(ExitCode::kInconclusive) == "inconclusive");
  CHECK(verdict_of(ExitCode::kInterrupted) == "error");
  // DESIGN: 1, 8, 9, 3, 6, 4, 5 in that order; an interruption before all of them.
  const std::vector<ExitCode> order = {
      ExitCode::kInterrupted, ExitCode::kInternal,     ExitCode::kLimit,
      ExitCode::kOutput,      ExitCode::kBadInput,     ExitCode::kEnvironment,
      ExitCode::kGateMissed,  ExitCode::kInconclusive, ExitCode::kBatchFailed};
  for (size_t i = 0; i < order.size(); ++i)
    for (size_t j = i; j < order.size(); ++j) {
      CHECK(worse(order[i], order[j]) == order[i]);
      CHECK(worse(order[j], order[i]) == order[i]);
    }
  CHECK(worse(ExitCode::kDone, ExitCode::kBatchFailed) == ExitCode::kBatchFailed);
  CHECK(worse(ExitCode::kDone, ExitCode::kDone) == ExitCode::kDone);
}

TEST_CASE("json_text is sorted, exact and free of NaN") {
  CHECK(json_text(json{{"b", 1}, {"a", 0.1}}) == "{\n  \"a\": 0.1,\n  \"b\": 1\n}\n");
  for (const double value : {0.1, 1e-310, 1.7976931348623157e308, 1.0 / 3, -0.0, 123456789.125})
    CHECK(parse_json_strict(json_text(value), "x").get<double>() == value);
  CHECK_THROWS_AS(json_text(json{{"a", {1, std::nan("")}}}), InternalError);
  CHECK_THROWS_AS(json_text(std::numeric_limits<double>::infinity()), InternalError);
  CHECK(compact_json_text("\xff") == "\"\xef\xbf\xbd\"");
  Report report;
  report.quality = {{"top1", std::nan(""), 0.5, 0.1, 1, ""}};
  CHECK_THROWS_AS(to_json(report), InternalError);
  json deep;
  for (int i = 0; i < 100; ++i) deep = json::array({deep});
  CHECK_THROWS_AS(json_text(deep), InternalError);
  CHECK(config_hash({{"a", 1}, {"b", 2}}) == config_hash({{"b", 2}, {"a", 1}}));
  CHECK(config_hash({{"a", 1}}) != config_hash({{"a", 2}}));
}

TEST_CASE("load_report takes any 1.x and nothing else") {
  const ScratchDirectory folder;
  const auto verdict = [&](json report) {
    try {
      return load_report(folder.write("r.json", json_text(report)))["schema_version"]
          .get<std::string>();
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kUsage);
      return e.text().message;
    }
  };
  json report = to_json(full_report());
  CHECK(verdict(report) == "1.0");
  report["schema_version"] = "1.7";
  CHECK(verdict(report) == "1.7");
  report["schema_version"] = "2.0";
  CHECK(verdict(report) == "version 2.0 is not understood");
  report["schema_version"] = 1;
  CHECK(verdict(report) == "expected a string, found 1");
  report.erase("schema_version");
  CHECK(verdict(report) == "the key \"schema_version\" is missing");
  CHECK(verdict({{"schema", "x"}, {"schema_version", "1.0"}}) == "is not a lathe report");
}

TEST_CASE("report_markdown begins with the verdict and escapes what came from files") {
  Report report = full_report();
  report.warnings.push_back({"x", "a|b <script> @all\n# h [l](u) \x1b[31m", ""});
  const std::string text = report_markdown(to_json(report));
  CHECK(text.starts_with("## pass: lathe quantize\n"));
  CHECK(text.find("| top1 | 0.9 | 0.89 | 0.01 | 1000 |") != std::string::npos);
  CHECK(text.find("| file_bytes | 4.00 KiB | 1.00 KiB | -75 % |") != std::string::npos);
  CHECK(text.find("| b1t1 | 1.5 us | 1 us | – | 100 |") != std::string::npos);
  CHECK(text.find("a\\|b &lt;script\\> &#64;all") != std::string::npos);
  CHECK(text.find("<script>") == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("\n# h") == std::string::npos);
  CHECK(report_markdown(json::object()).starts_with("## –"));
}

}  // namespace
}  // namespace lathe
