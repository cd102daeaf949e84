#include "report/export.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "count_of.h"
#include "ir/error.h"
#include "report/csv.h"
#include "report/github_annotations.h"
#include "report/headline.h"
#include "report/junit.h"
#include "report/measures.h"
#include "report/openmetrics.h"

namespace lathe {
namespace {

using nlohmann::json;

json latency(double median) {
  return {{"median", {{"value", median}, {"ci95", {median * 0.9, median * 1.1}}}},
          {"min", median / 2},
          {"max", median * 3},
          {"percentiles",
           {{{"p", 0.95}, {"value", median * 2}, {"ci95", nullptr}},
            {{"p", 0.99}, {"value", nullptr}, {"reason", "needs 662 samples, has 400"}}}}};
}

// q.onnx against m.onnx: 1.25 times as slow, one gate of each verdict.
json bench_report() {
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  json report{{"schema", "lathe.report"},
              {"verdict", "fail"},
              {"complete", true},
              {"run",
               {{"command", "bench"},
                {"id", "1"},
                {"started_utc", "2026-01-31T12:00:00Z"},
                {"duration_ns", 1500000000}}},
              {"tool", {{"version", "0.1.0"}}},
              {"model", {{"path_basename", "q.onnx"}, {"sha256", a}, {"file_bytes", 1024}}},
              {"quality", json::array()},
              {"warnings", json::array()}};
  report["models"]["against"] = {{"path_basename", "m.onnx"}, {"sha256", b}, {"file_bytes", 4096}};
  report["cases"] = {{{"id", "single"},
                      {"model_sha256", a},
                      {"batch", 1},
                      {"samples", {{"n", 400}}},
                      {"latency", latency(5e6)},
                      {"throughput", {{"items_per_s", 200.0}}}},
                     {{"id", "against/single"},
                      {"model_sha256", b},
                      {"batch", 1},
                      {"samples", {{"n", 400}}},
                      {"latency", latency(4e6)}}};
  report["comparison"] = {{"mode", "interleaved"}};
  report["comparison"]["cases"] = {
      {{"id", "single"},
       {"verdict", "regressed"},
       {"ratio", {{"value", 1.25}, {"ci95", {1.2, 1.3}}}},
       {"op_deltas",
        {{{"name", "c1"}, {"type", "Conv"}, {"delta_ns", -100}},
         {{"name", "q7"}, {"type", "QuantizeLinear"}, {"delta_ns", 900000}}}}}};
  const auto gate = [](const char* id, const char* metric, const char* verdict, double limit,
                       const json& observed) {
    return json{{"id", id},       {"metric", metric},     {"case", "single"},  {"op", ">="},
                {"limit", limit}, {"observed", observed}, {"verdict", verdict}};
  };
  report["gates"] = {gate("size <= 50%", "size", "pass", 2048, 1024),
                     gate("p99 < 9ms", "p99", "inconclusive", 9e6, nullptr),
                     gate("min <= 2ms", "min", "fail", 2e6, 2.5e6),
                     gate("speedup >= 1.6x", "speedup", "fail", 1.6, 0.8)};
  return report;
}

std::vector<std::string> lines_of(const std::string& text, const std::string& end = "\n") {
  std::vector<std::string> lines;
  size_t from = 0;
  for (size_t at; (at = text.find(end, from)) != std::string::npos; from = at + end.size())
    lines.push_back(text.substr(from, at - from));
  CHECK(from == text.size());
  return lines;
}

TEST_CASE("--export takes KIND=FILE and names the nearest kind") {
  const ExportRequest request = parse_export("junit=a=b.xml", "--export");
  CHECK(request.kind->name == "junit");
  CHECK(request.path == "a=b.xml");
  const auto refusal = [](const char* text) {
    try {
      parse_export(text, "--export");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kUsage);
      CHECK(error.text().where == "--export");
      return error.text().message + " | " + error.text().hint;
    }
    return std::string("accepted");
  };
  CHECK(refusal("junot=x") == "there is no export 'junot' | did you mean junit?");
  CHECK(refusal("csv") == "'csv' names no file | write csv=FILE");
  CHECK(refusal("csv=") == "'csv=' names no file | write csv=FILE");
  CHECK(refusal("=x").starts_with("there is no export ''"));
}

TEST_CASE("every kind takes any report, the same one to the same bytes") {
  const json wrong{{"cases", {1, nullptr, {{"latency", 3}, {"id", {1, 2}}}}},
                   {"gates", {"x", {{"verdict", 7}}}},
                   {"comparison", {{"cases", {{{"ratio", "fast"}}}}}},
                   {"model", json::array({1})},
                   {"run", {{"argv", "none"}}},
                   {"plan", 4},
                   {"error", nullptr},
                   {"host", {{"cpu", 1}}}};
  for (const ExportKind& kind : export_kinds())
    for (const json& report : {bench_report(), wrong, json::object(), json(), json(3)}) {
      CAPTURE(kind.name);
      const std::string text = export_report(report, kind);
      CHECK(text == export_report(report, kind));
      CHECK(text.find('\x1b') == std::string::npos);
    }
}

TEST_CASE("the headline says gates, speed and size") {
  json report = bench_report();
  CHECK(report_headline(report) == "2 of 4 gates missed · 1.25x slower (CI 1.2–1.3) · size −75 %");
  report["comparison"]["cases"][0]["verdict"] = "improved";
  report["comparison"]["cases"][0]["ratio"] = {{"value", 0.5}, {"ci95", {0.4, 0.625}}};
  report["gates"] = json::array();
  CHECK(report_headline(report) == "2x faster (CI 1.6–2.5) · size −75 %");
  json sweep = report;
  sweep.erase("comparison");
  CHECK(report_headline(sweep) == "2 cases, least median 4 ms (against/single) · size −75 %");
  report["error"] = {{"message", "ends early"}, {"where", "m.onnx"}};
  CHECK(report_headline(report) == "m.onnx: ends early");
}

TEST_CASE("junit: one testcase a gate, failure, skipped and error apart") {
  json report = bench_report();
  std::string text = to_junit(report);
  CHECK(text.find("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\" time=\"1.500\"") !=
        std::string::npos);
  CHECK(text.find("timestamp=\"2026-01-31T12:00:00\"") != std::string::npos);
  CHECK(count_of(text, "<testcase classname=\"q.onnx/single\"") == 4);
  CHECK(text.find("name=\"size &lt;= 50%\" time=\"0\"/>") != std::string::npos);
  CHECK(text.find("<failure type=\"gate.fail\" message=\"speedup is 0.8x, must be &gt;= 1.6x; "
                  "slower: q7 (QuantizeLinear) +900 us\"/>") != std::string::npos);
  CHECK(count_of(text, "<failure ") == 2);
  CHECK(count_of(text, "<skipped ") == 1);
  report["error"] = {{"code", "model.truncated"}, {"message", "a\x01<&\"\n"}, {"where", ""}};
  text = to_junit(report);
  CHECK(text.find("tests=\"5\" failures=\"2\" errors=\"1\"") != std::string::npos);
  CHECK(text.find("<error type=\"model.truncated\" message=\"a\\x01&lt;&amp;&quot;\\x0a\"/>") !=
        std::string::npos);
  CHECK(xml_escape(std::string("a\0b\xef\xbf\xbf", 6)) ==
        "a\xef\xbf\xbd"
        "b\xef\xbf\xbd");
  CHECK(count_of(to_junit({{"verdict", "pass"}}), "<testcase ") == 1);
}

TEST_CASE("csv: a row a case, quoted, no formulas") {
  json report = bench_report();
  report["cases"][0]["engine"] = "=cmd|'/c calc'!A1,\"x\"";
  const auto lines = lines_of(to_csv(report), "\r\n");
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].starts_with("model,case,engine,scenario,batch,threads,"));
  CHECK(lines[1].starts_with("q.onnx,single,\"'=cmd|'/c calc'!A1,\"\"x\"\"\",,1,"));
  CHECK(lines[1].ends_with(",1.25,1.2,1.3,regressed"));
  CHECK(std::count(lines[2].begin(), lines[2].end(), ',') ==
        std::count(lines[0].begin(), lines[0].end(), ','));
}

TEST_CASE("google/benchmark: caches are an array, one row a case, nanoseconds") {
  json report = bench_report();
  report["cases"][0]["cpu"] = {{"user_ns", 800e6}, {"sys_ns", 200e6}, {"cpus_used", 0.5}};
  report["cases"][1]["latency"] = json::object();
  const ExportRequest request = parse_export("gbench=x", "");
  const json out = json::parse(export_report(report, *request.kind));
  CHECK(out["context"]["json_schema_version"] == 1);
  CHECK(out["context"]["caches"].is_array());
  REQUIRE(out["benchmarks"].size() == 2);
  const json& row = out["benchmarks"][0];
  CHECK(row["name"] == "q.onnx/single");
  CHECK(row["run_type"] == "iteration");
  CHECK(row["time_unit"] == "ns");
  CHECK(row["real_time"] == 5e6);
  CHECK(row["cpu_time"] == 2.5e6);
  CHECK(!row.contains("label"));
  CHECK(out["benchmarks"][1]["error_occurred"] == true);
}

TEST_CASE("github-action-benchmark: the directions are apart; bmf has bounds") {
  const json report = bench_report();
  const auto made = [&](const char* kind) {
    return json::parse(export_report(report, *parse_export(kind, "").kind));
  };
  const json smaller = made("gha-smaller=x");
  const json bigger = made("gha-bigger=x");
  CHECK(smaller[0]["name"] == "q.onnx/single latency");
  CHECK(smaller[0]["unit"] == "ns");
  CHECK(smaller[0]["value"] == 5e6);
  for (const json& row : smaller) {
    const std::string name = row["name"];
    CHECK(name.find("throughput") == std::string::npos);
    CHECK(name.find("speedup") == std::string::npos);
  }
  REQUIRE(bigger.size() == 2);
  CHECK(bigger[0]["name"] == "q.onnx/single throughput");
  CHECK(bigger[1]["value"] == 0.8);
  const json bmf = made("bmf=x");
  CHECK(bmf["q.onnx/single"]["latency"] ==
        json{{"value", 5e6}, {"lower_value", 4.5e6}, {"upper_value", 5.5e6}});
  CHECK(bmf["m.onnx"]["file-size"]["value"] == 4096);
  CHECK(!bmf["q.onnx/single"].contains("p99"));
}

TEST_CASE("openmetrics: families together, labels escaped, an end") {
  json report = bench_report();
  report["model"]["path_basename"] = "a\"\\b\n.onnx";
  const std::string text = to_openmetrics(report);
  CHECK(text.ends_with("\n# EOF\n"));
  CHECK(text.find("lathe_latency_seconds{model=\"a\\\"\\\\b\\\\x0a.onnx\"") != std::string::npos);
  CHECK(text.find("statistic=\"median\"} 0.005\n") != std::string::npos);
  CHECK(text.find("lathe_gate_passed{gate=\"size <= 50%\",case=\"single\"} 1\n") !=
        std::string::npos);
  // Undecided: neither passed nor missed.
  CHECK(text.find("lathe_gate_undecided{gate=\"p99 < 9ms\",case=\"single\"} 1\n") !=
        std::string::npos);
  CHECK(text.find("lathe_gate_passed{gate=\"p99 < 9ms\"") == std::string::npos);
  std::string family;
  std::vector<std::string> seen;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("# TYPE ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      CHECK(std::find(seen.begin(), seen.end(), family) == seen.end());
      seen.push_back(family);
    } else if (!line.starts_with("#")) {
      CHECK(line.starts_with(family));
    }
  }
}

TEST_CASE("annotations: escaped, worst first, ten at most") {
  json report = bench_report();
  const auto lines = lines_of(to_github_annotations(report));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] ==
        "::error title=lathe gate speedup >= 1.6x in single::speedup is 0.8x, must be >= 1.6x; "
        "slower: q7 (QuantizeLinear) +900 us");
  CHECK(lines[1].starts_with("::error title=lathe gate min <= 2ms in single::min is 2.5 ms"));
  CHECK(lines[2].starts_with("::warning title=lathe gate p99 < 9ms in single::p99 is not known"));
  for (int i = 0; i < 20; ++i) report["gates"].push_back(report["gates"][3]);
  CHECK(lines_of(to_github_annotations(report)).size() == 10);
  CHECK(annotation_property("a:b,c%d\r\n") == "a%3Ab%2Cc%25d%0D%0A");
  CHECK(annotation_message("a:b,c%d\r\n") == "a:b,c%25d%0D%0A");
  report["gates"] = json::array();
  CHECK(to_github_annotations(report).starts_with("::warning title=lathe single::1.25x slower"));
  report["comparison"]["cases"][0]["verdict"] = "pass";
  CHECK(to_github_annotations(report).empty());
  report["error"] = {{"message", "x\n::error::injected"}, {"where", "m"}, {"hint", ""}};
  CHECK(lines_of(to_github_annotations(report)).size() == 1);
}

TEST_CASE("every model of a report has its size, a case its id but once") {
  json report = bench_report();
  report["models"]["m"] = report["model"];
  report.erase("model");
  report["cases"][0]["id"] = "q/batch1";
  const json bmf = json::parse(export_report(report, *parse_export("bmf=x", "").kind));
  CHECK(bmf["q.onnx"]["file-size"]["value"] == 1024);
  CHECK(bmf["m.onnx"]["file-size"]["value"] == 4096);
  CHECK(bmf.contains("q/batch1"));
  CHECK(bmf.contains("m.onnx/against/single"));
  CHECK(report_headline(report).ends_with("size −75 %"));  // of the only model beside --against
}

TEST_CASE("the step summary has the headline and stays below 1 MiB") {
  json report = bench_report();
  CHECK(to_github_summary(report).find("2 of 4 gates missed") != std::string::npos);
  CHECK(to_github_summary(report).find("| speedup \\>= 1.6x | single | fail | 0.8x | ") !=
        std::string::npos);
  CHECK(to_github_summary(report).find("| file_bytes | 4.00 KiB | 1.00 KiB |") !=
        std::string::npos);
  CHECK(to_github_summary(report).size() < 1 << 20);
}

}  // namespace
}  // namespace lathe
