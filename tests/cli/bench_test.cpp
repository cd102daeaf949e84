// lathe bench over several cases: lists, gates, resuming, recommending, failed cases.
#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

#include "run_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

std::vector<std::string> seventy_runs(const std::vector<std::string>& more) {
  return joined({"bench", kGlyphs, "--iterations", "70", "--warmup", "10", "--max-time", "4s"},
                more);
}

// Runs enough for an interval of the median, however alike neighbouring samples of a busy machine
// are.
std::vector<std::string> many_runs(const std::vector<std::string>& more) {
  return joined({"bench", kGlyphs, "--iterations", "2000", "--max-time", "8s"}, more);
}

TEST_CASE("batches, threads and engines make cases; the front and the optimal batch are named") {
  const CliResult result = run_lathe(seventy_runs(
      {"--batch", "1,4", "--threads", "1", "--engine", "interpreter,torchscript", "--json"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = report_of(result);
  std::set<std::string> ids;
  bool any_front = false;
  for (const json& row : report["cases"]) {
    ids.insert(row["id"].get<std::string>());
    CHECK(row["latency"]["median"]["value"] > 0);
    CHECK(row["latency"]["percentiles"][1]["value"].is_number());  // p90: 70 samples
    CHECK(row["latency"]["percentiles"][3]["value"].is_null());    // p99
    CHECK(row["memory"]["arena_planned_bytes"] > 0);
    any_front = any_front || row["pareto"]["latency_bytes_quality"] == true;
  }
  CHECK(ids == std::set<std::string>{
                   "glyphs/batch1/threads1/interpreter", "glyphs/batch4/threads1/interpreter",
                   "glyphs/batch1/threads1/torchscript", "glyphs/batch4/threads1/torchscript"});
  CHECK(any_front);
  CHECK(report["sweep"]["optimal_batches"].size() == 2);
  const auto arena = [&](size_t i) {
    return report["cases"][i]["memory"]["arena_planned_bytes"].get<int64_t>();
  };
  CHECK(arena(1) > 3 * arena(0));  // planned for the batch
}

TEST_CASE("several processes are pooled, their spread is shown") {
  const CliResult result =
      run_lathe(seventy_runs({"--processes", "2", "--threads", "1", "--json"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json samples = report_of(result)["cases"][0]["samples"];
  CHECK(samples["n"] == 140);
  CHECK(samples["n_processes"] == 2);
  CHECK(samples["process_medians_ns"].size() == 2);
  CHECK(samples["process_spread"].is_number());
}

TEST_CASE("gates hold for every case or the named one; a missing case fails") {
  const ScratchDirectory folder;
  const std::string gates =
      folder.write("gates.txt", "# limits\nsize < 1MiB\n*/batch2/*: median < 10s\n\n");
  CliResult result = run_lathe(many_runs({"--batch", "1,2", "--threads", "1", "--gates", gates,
                                          "--gate", "coverage > 0.1", "--json"}));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  const json rows = report_of(result)["gates"];
  REQUIRE(rows.size() == 5);
  CHECK(rows[0]["metric"] != "median");  // what needs no time comes first
  CHECK(rows[4]["metric"] == "median");
  CHECK(rows[4]["case"] == "glyphs/batch2/threads1/native");

  result = run_lathe(seventy_runs(
      {"--batch", "1,2", "--threads", "1", "--gate", "*/batch3/*: size < 1MiB", "--json"}));
  CHECK(result.exit_code == 4);
  CHECK(report_of(result)["gates"][0]["reason"].get<std::string>().find("no case") == 0);
}

TEST_CASE("p99 of one sample is inconclusive and says how many are needed") {
  const CliResult result =
      run_lathe({"bench", kGlyphs, "--iterations", "1", "--gate", "p99 < 10s", "--json"});
  CHECK(result.exit_code == 5);
  CHECK(report_of(result)["gates"][0]["reason"] == "needs 662 samples, has 1");
}

TEST_CASE("mistakes in gates files and lists are refused before anything is measured") {
  const ScratchDirectory folder;
  const std::string gates = folder.write("gates.txt", "size < 1MiB\nsize < much\n");
  const CliResult bad = run_lathe(seventy_runs({"--gates", gates}));
  CHECK(bad.exit_code == 2);
  CHECK(bad.err.find("gates.txt:2") != std::string::npos);
  CHECK(bad.err.find("^") != std::string::npos);
  check_refused(run_lathe(seventy_runs({"--engine", "interpreter,gpu"})), 2, {"gpu"});
  check_refused(run_lathe(seventy_runs({"--batch", "0"})), 2, {"--batch"});
  check_refused(run_lathe(seventy_runs({"--minimize", "beauty", "--batch", "1,2"})), 2, {"beauty"});
  check_refused(run_lathe(seventy_runs({"--minimize", "throughput", "--batch", "1,2"})), 2,
                {"throughput"});
}

TEST_CASE("a finished case is not measured again; a line that was cut off is") {
  const ScratchDirectory folder;
  const std::string file = folder.path("sweep.jsonl");
  auto words = seventy_runs({"--batch", "1,2", "--threads", "1", "--resume", file, "--json"});
  const json first = report_of(run_lathe(words));
  CHECK(first["sweep"]["resumed"] == 0);
  const json second = report_of(run_lathe(words));
  CHECK(second["sweep"]["resumed"] == 2);
  CHECK(second["cases"] == first["cases"]);
  std::string content = content_of(file);
  content.resize(content.size() - 100);
  std::ofstream(file, std::ios::binary) << content;
  CHECK(report_of(run_lathe(words))["sweep"]["resumed"] == 1);
  CHECK(report_of(run_lathe(words))["sweep"]["resumed"] == 2);
  auto other = words;
  other.insert(other.end(), {"--seed", "7"});
  CHECK(report_of(run_lathe(other))["sweep"]["resumed"] == 0);
  std::ofstream(file, std::ios::binary) << "{}\n";
  words.pop_back();  // --json prints a report of the error, too
  check_refused(run_lathe(words), 2, {"sweep.jsonl:1"});
}

TEST_CASE("--dry-run lists the cases and measures nothing") {
  const CliResult result = run_lathe(seventy_runs({"--batch", "1..8:x2", "--dry-run", "--json"}));
  REQUIRE(result.exit_code == 0);
  const json report = report_of(result);
  CHECK(report["cases"].size() == 4);
  CHECK(report["cases"][0]["planned"] == true);
  CHECK_FALSE(report["cases"][0].contains("latency"));
}

TEST_CASE("--batch auto doubles until it brings nothing and names the optimal batch") {
  const CliResult result = run_lathe(
      {"bench", kGlyphs, "--batch", "auto", "--threads", "1", "--max-time", "300ms", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = report_of(result);
  int64_t batch = 1;
  for (const json& row : report["cases"]) {
    CHECK(row["batch"] == batch);
    batch *= 2;
  }
  const int64_t best = report["sweep"]["optimal_batches"][0]["batch"].get<int64_t>();
  CHECK(best >= 1);
  CHECK(best < batch);
}

TEST_CASE("the recommended case passes the expression and comes with its command") {
  CliResult result = run_lathe(many_runs({"--batch", "1,8", "--threads", "1", "--recommend",
                                          "median < 10s", "--maximize", "throughput", "--json"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json found = report_of(result)["sweep"]["recommended"];
  CHECK(found["case"].is_string());
  CHECK(found["command"].get<std::string>().find("lathe bench ") == 0);
  result = run_lathe(seventy_runs({"--batch", "1,8", "--threads", "1", "--recommend",
                                   "median < 1ns", "--minimize", "bytes", "--json"}));
  CHECK(report_of(result)["sweep"]["recommended"]["case"].is_null());
}

TEST_CASE("a case that fails costs itself only") {
  const ScratchDirectory folder;
  const std::string broken = folder.write("broken.onnx", "no model");
  CliResult result = run_lathe({"bench", kGlyphs, broken, "--iterations", "8", "--max-time", "2s",
                                "--gate", "size < 1MiB", "--json"});
  INFO(result.err);
  CHECK(result.exit_code == 4);  // the gate of the missing case
  json report = report_of(result);
  REQUIRE(report["cases"].size() == 2);
  CHECK(report["cases"][0]["latency"]["median"]["value"] > 0);
  CHECK(report["cases"][1]["failed"] == true);
  result = run_lathe({"bench", kGlyphs, broken, "--iterations", "8", "--max-time", "2s", "--json"});
  CHECK(result.exit_code == 7);
  result = run_lathe({"bench", broken, broken, "--iterations", "8", "--json"});
  CHECK(result.exit_code == 3);
}

TEST_CASE("--against in several processes: one merged comparison a case") {
  const CliResult result = run_lathe({"bench", kGlyphs, "--against", kGlyphs, "--processes", "2",
                                      "--threads", "1", "--max-time", "6s", "--json"});
  INFO(result.err);
  CHECK((result.exit_code == 0));
  const json comparison = report_of(result)["comparison"];
  REQUIRE(comparison["cases"].size() == 1);
  CHECK(comparison["cases"][0]["processes"] == 2);
  CHECK(comparison["cases"][0]["ratio"]["value"].get<double>() == doctest::Approx(1).epsilon(0.3));
}

TEST_CASE("a long run tells how latency and memory went, as gates too") {
  const CliResult result =
      run_lathe({"bench", kGlyphs, "--threads", "1", "--duration", "1s", "--json"});
  const json report = report_of(result);
  const json& soak = report["cases"][0]["soak"];
  CHECK(soak["points"].size() > 20);
  CHECK(soak["duration_s"] >= 1.0);
  CHECK(soak["bytes_per_run"]["ci95"].size() == 2);
  REQUIRE(report["gates"].size() == 2);
  CHECK(report["gates"][0]["metric"] == "slowdown");
  CHECK(report["gates"][1]["metric"] == "leak");
  CHECK(report["gates"][1]["verdict"] == "pass");
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--duration", "0s"},
                                                {"--duration", "10"},
                                                {"--duration", "-5s"},
                                                {"--duration", "2s", "--iterations", "3"},
                                                {"--duration", "2s", "--against", kGlyphs},
                                                {"--duration", "2s", "--batch", "1,2"},
                                                {"--duration", "2s", "--max-time", "1s"}})
    check_refused(run_lathe(joined({"bench", kGlyphs, "--dry-run"}, wrong)), 2, {"--duration"});
  const json warmed = report_of(run_lathe(
      {"bench", kGlyphs, "--warmup", "7", "--iterations", "3", "--threads", "1", "--json"}));
  CHECK(warmed["phases"]["warmup"]["iterations"] == 7);
  CHECK(report_of(run_lathe({"bench", kGlyphs, "--warmup", "0", "--iterations", "3",
                             "--json"}))["phases"]["warmup"]["iterations"] == 0);
}

}  // namespace
}  // namespace lathe
