#include "comparison/baseline.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "ir/error.h"
#include "statistics/random.h"

namespace lathe {
namespace {

using nlohmann::json;

json report_of(double median_ns, size_t processes, uint64_t seed) {
  BenchRandom random(seed);
  json values = json::array();
  for (size_t i = 0; i < processes; ++i)
    values.push_back(median_ns * (1 + 0.06 * (random.unit() - 0.5)));
  return {{"schema", "lathe.report"},
          {"schema_version", "1.0"},
          {"run", {{"command", "bench"}, {"id", "r" + std::to_string(seed)}}},
          {"host", {{"fingerprint", "aa"}}},
          {"tool", {{"build_type", "release"}, {"sanitizers", json::array()}}},
          {"model", {{"sha256", "cc"}}},
          {"recipe", {{"engine", "native"}, {"max-time", "9s"}}},
          {"inputs", {{{"name", "x"}, {"shape", {1, 3}}, {"dtype", "float"}}}},
          {"cases",
           {{{"id", "single"},
             {"engine", "native"},
             {"threads", {{"effective", 1}}},
             {"samples", {{"process_medians_ns", values}}}}}}};
}

ExitCode code_of(const json& current, const json& baseline, std::string* message = nullptr) {
  try {
    compare_with_baseline(current, baseline, "stored.json");
  } catch (const Error& error) {
    if (message != nullptr) *message = error.text().message;
    CHECK(error.text().where.find("stored.json") != std::string::npos);
    return error.code();
  }
  return ExitCode::kDone;
}

CrossRunCase single(const json& current, const json& baseline) {
  const CrossRun run = compare_with_baseline(current, baseline, "stored.json");
  REQUIRE(run.cases.size() == 1);
  return run.cases[0];
}

TEST_CASE("ten processes a side: the same passes, half as slow again regressed, half improved") {
  const json baseline = report_of(1e6, 12, 1);
  const CrossRunCase same = single(report_of(1e6, 12, 2), baseline);
  CHECK(same.verdict == ComparisonVerdict::kPass);
  CHECK(*same.ratio == doctest::Approx(1).epsilon(0.03));
  CHECK(same.effective_tolerance == 0.10);
  const CrossRunCase slower = single(report_of(1.5e6, 12, 2), baseline);
  CHECK(slower.verdict == ComparisonVerdict::kRegressed);
  CHECK(*slower.p_value < 0.001);
  CHECK(slower.interval->low > 1.4);
  CHECK(single(report_of(0.5e6, 12, 2), baseline).verdict == ComparisonVerdict::kImproved);
}

TEST_CASE("a slowdown near the tolerance is inconclusive") {
  CHECK(single(report_of(1.1e6, 12, 2), report_of(1e6, 12, 1)).verdict ==
        ComparisonVerdict::kInconclusive);
}

TEST_CASE("fewer than ten processes are not judged, and the reason says how many are needed") {
  const CrossRunCase few = single(report_of(2e6, 9, 2), report_of(1e6, 12, 1));
  CHECK(few.verdict == ComparisonVerdict::kInconclusive);
  CHECK_FALSE(few.ratio.has_value());
  CHECK(few.reason == "9 processes here and 12 in the baseline; 10 a side are needed");
  json without = report_of(1e6, 12, 1);
  without["cases"][0]["samples"] = {{"process_medians_ns", nullptr}};
  CHECK(single(report_of(1e6, 12, 2), without).baseline_processes == 0);
}

TEST_CASE("another host is refused, unless it is allowed") {
  json other = report_of(1e6, 12, 1);
  other["host"]["fingerprint"] = "bb";
  std::string message;
  CHECK(code_of(report_of(1e6, 12, 2), other, &message) == ExitCode::kEnvironment);
  CHECK(message.find("another host") != std::string::npos);
  CrossRunOptions options;
  options.allow_mismatch = true;
  const CrossRun run = compare_with_baseline(report_of(1e6, 12, 2), other, "stored.json", options);
  CHECK(run.cases[0].verdict == ComparisonVerdict::kPass);
  REQUIRE(run.warnings.size() == 1);
}

TEST_CASE("another measurement is refused with the keys that differ") {
  json other = report_of(1e6, 12, 1);
  other["inputs"][0]["shape"] = {1, 4};
  std::string message;
  CHECK(code_of(report_of(1e6, 12, 2), other, &message) == ExitCode::kEnvironment);
  CHECK(message.find("/inputs") != std::string::npos);
  json threads = report_of(1e6, 12, 1);
  threads["cases"][0]["threads"]["effective"] = 2;
  CHECK(code_of(report_of(1e6, 12, 2), threads, &message) == ExitCode::kEnvironment);
  CHECK(message.find("/cases/single/threads (1 here, 2 there)") != std::string::npos);
}

TEST_CASE("counts of emulated boards are compared exactly, whatever the host") {
  const auto counted = [](const char* host, int threads, int64_t instructions) {
    json report = report_of(1e6, 1, 1);
    report["host"]["fingerprint"] = host;
    report["tool"]["build_type"] = host;
    report["cases"][0]["threads"]["effective"] = threads;
    report["cases"][0]["samples"] = {{"process_medians_ns", nullptr}};
    report["cases"][0]["emulated"] = {{"instructions", instructions}};
    return report;
  };
  const CrossRunCase more = single(counted("bb", 4, 1200), counted("aa", 2, 1000));
  CHECK(more.verdict == ComparisonVerdict::kRegressed);
  CHECK(*more.ratio == 1.2);
  CHECK(more.interval->low == more.interval->high);
  CHECK(single(counted("bb", 4, 1050), counted("aa", 2, 1000)).verdict == ComparisonVerdict::kPass);
  // Times beside them are of one host.
  json mixed = counted("aa", 2, 1000);
  mixed["cases"].push_back(report_of(1e6, 12, 1)["cases"][0]);
  mixed["cases"][1]["id"] = "native";
  CHECK(code_of(counted("bb", 4, 1000), mixed) == ExitCode::kEnvironment);
}

TEST_CASE("what only judges may differ") {
  json other = report_of(1e6, 12, 1);
  other["recipe"]["max-time"] = "60s";
  other["recipe"]["gate"] = {"p95 < 3ms"};
  CHECK(code_of(report_of(1e6, 12, 2), other) == ExitCode::kDone);
  CHECK(measured_facts(other) == measured_facts(report_of(1e6, 12, 1)));
}

TEST_CASE("missing and extra cases are listed; those of --against models are not cases") {
  json here = report_of(1e6, 12, 2);
  json there = report_of(1e6, 12, 1);
  here["cases"].push_back({{"id", "batch=2"}});
  there["cases"].push_back({{"id", "batch=8"}});
  there["cases"].push_back({{"id", "against/single"}});
  const CrossRun run = compare_with_baseline(here, there, "stored.json");
  CHECK(run.missing == std::vector<std::string>{"batch=8"});
  CHECK(run.extra == std::vector<std::string>{"batch=2"});
  const json section = cross_run_json(run, {});
  CHECK(section["mode"] == "cross_run");
  CHECK(section["missing"][0] == "batch=8");
  CHECK(section["cases"][0]["verdict"] == "pass");
  CHECK(section["baseline"]["report_id"] == "r1");
}

TEST_CASE("hostile reports are refused as usage errors") {
  const json here = report_of(1e6, 12, 2);
  json quantized = report_of(1e6, 12, 1);
  quantized["run"]["command"] = "quantize";
  CHECK(code_of(here, quantized) == ExitCode::kUsage);
  json negative = report_of(1e6, 12, 1);
  negative["cases"][0]["samples"]["process_medians_ns"][3] = -1;
  CHECK(code_of(here, negative) == ExitCode::kUsage);
  json text = report_of(1e6, 12, 1);
  text["cases"][0]["samples"]["process_medians_ns"] = "many";
  CHECK(code_of(here, text) == ExitCode::kUsage);
  json twice = report_of(1e6, 12, 1);
  twice["cases"].push_back(twice["cases"][0]);
  CHECK(code_of(here, twice) == ExitCode::kUsage);
  CHECK(code_of(here, json{{"run", {{"command", "bench"}}}, {"cases", {1, 2}}}) ==
        ExitCode::kUsage);
}

}  // namespace
}  // namespace lathe
