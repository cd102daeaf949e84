// lathe bench --scenario: several streams, servers under load, peak rates, cameras; through the
// built binary and its own reports. Times are never asserted, only what must hold between them.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <set>
#include <thread>

#include "report_schema.h"
#include "run_lathe.h"
#include "running_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// One thread an engine, so that workers and streams are what is shared.
std::vector<std::string> in_one_thread(std::vector<std::string> more) {
  std::vector<std::string> all{"bench", kGlyphs, "--threads", "1"};
  if (std::find(more.begin(), more.end(), "--max-time") == more.end())
    all.insert(all.end(), {"--max-time", "10s"});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

json measured(const std::vector<std::string>& more, int code = 0) {
  std::vector<std::string> all = in_one_thread(more);
  all.emplace_back("--json");
  const CliResult result = run_lathe(all);
  INFO(result.err);
  REQUIRE(result.exit_code == code);
  json report = report_of(result);
  CHECK(schema_errors(report) == "");
  return report;
}

double percentile(const json& latency, double p) {
  for (const json& each : latency["percentiles"])
    if (each["p"] == p && each["value"].is_number()) return each["value"].get<double>();
  FAIL("no percentile ", p);
  return 0;
}

void check_counts(const json& row) {
  const json& schedule = row["schedule"];
  CHECK(schedule["issued"] ==
        schedule["completed"].get<int64_t>() + schedule["left_waiting"].get<int64_t>());
  CHECK(row["samples"]["n"] == schedule["completed"]);
  CHECK(schedule["max_backlog"] <= schedule["issued"]);
  int64_t last = -1;
  for (const json& point : schedule["backlog"]) {
    CHECK(point["time_ns"].get<int64_t>() >= last);
    last = point["time_ns"].get<int64_t>();
    CHECK(point["waiting"] <= schedule["max_backlog"]);
  }
}

double capacity() {
  return measured({"--scenario", "server", "--iterations",
                   "100"})["cases"][0]["schedule"]["capacity_qps"]
      .get<double>();
}

TEST_CASE("server: at half of what the worker can serve the queue empties again") {
  const json report = measured({"--scenario", "server", "--iterations", "300", "--slo", "10s"});
  const json& row = report["cases"][0];
  CHECK(row["scenario"] == "server");
  CHECK(row["id"] == "single");
  check_counts(row);
  const json& schedule = row["schedule"];
  CHECK(schedule["issued"] == 300);
  CHECK(schedule["arrival"] == "poisson");
  CHECK(row["slo_ns"] == 10'000'000'000);
  CHECK(schedule["over_slo"] == 0);
  CHECK(schedule["goodput_qps"] == schedule["achieved_qps"]);
  CHECK(row["target_qps"].get<double>() ==
        doctest::Approx(schedule["capacity_qps"].get<double>() / 2));
  CHECK(percentile(row["latency"], 0.95) >= percentile(row["service"], 0.5));
  CHECK(row["latency"]["percentiles"][3]["value"].is_null());  // p99 needs 662
  CHECK(row["throughput"]["ci95"].is_array());
  CHECK(row["phases"]["warmup"]["iterations"] > 0);
  CHECK(row["threads"]["per_worker"] == 1);
}

// A worker that serves mu a second and gets lambda > mu of them, evenly spaced, is t (lambda - mu)
// queries behind after t seconds: query number i waits i / mu - i / lambda, and the last one of a
// run of T seconds T (1 - mu / lambda). The waits grow evenly, so p99 is 99 % of that.
TEST_CASE("server: under a constant overload p99 is the time that the backlog takes to drain") {
  const double rate = 2.5 * capacity();
  const json report = measured({"--scenario", "server", "--arrival", "constant", "--rate",
                                std::to_string(rate), "--iterations", "2500", "--max-time", "30s"});
  const json& row = report["cases"][0];
  check_counts(row);
  const json& schedule = row["schedule"];
  CHECK(row["target_qps"].get<double>() == doctest::Approx(rate).epsilon(1e-5));
  CHECK(schedule["caught_up"] == false);
  CHECK(schedule["max_backlog"] > 0);
  CHECK(schedule["queued"] > schedule["completed"].get<int64_t>() / 2);
  const double p99 = percentile(row["latency"], 0.99);
  CHECK(p99 > row["service"]["median"]["value"].get<double>());
  const double mu = schedule["achieved_qps"].get<double>();
  const double drained = (1 - mu / rate) * schedule["time_ns"].get<double>();
  INFO("p99 ", p99, " ns, expected ", 0.99 * drained);
  CHECK(p99 > 0.5 * 0.99 * drained);
  CHECK(p99 < 1.5 * 0.99 * drained);
  // A closed loop of the same model hides all of that.
  CHECK(p99 > 10 * percentile(row["service"], 0.5));
}

TEST_CASE("server: an overload says so, and what to do") {
  const CliResult result = run_lathe(
      in_one_thread({"--scenario", "server", "--rate", "100000", "--iterations", "3000"}));
  INFO(result.out, result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("OVERLOADED") != std::string::npos);
  CHECK(result.out.find("never caught up") != std::string::npos);
  CHECK(result.out.find("latencies grow with the length of the run") != std::string::npos);
  CHECK(result.out.find("--rate ") != std::string::npos);
}

TEST_CASE("server: queries left waiting withhold what gates would judge") {
  const json report = measured({"--scenario", "server", "--rate", "900000", "--iterations",
                                "200000", "--max-time", "1s", "--gate", "p90 < 100s"},
                               5);
  const json& row = report["cases"][0];
  check_counts(row);
  CHECK(row["schedule"]["left_waiting"] > 0);
  CHECK(row["schedule"]["stop"] == "max_time");
  CHECK(row["latency"]["is_lower_bound"] == true);
  CHECK(report["gates"][0]["reason"].get<std::string>().find("left waiting") != std::string::npos);
}

TEST_CASE("gates see the load's own latencies and throughput") {
  const json report =
      measured({"--scenario", "server", "--rate", "500", "--iterations", "2000", "--arrival",
                "constant", "--gate", "max < 10s", "--gate", "throughput >= 250/s", "--gate",
                "throughput < 750/s", "--gate", "median < 1ns"},
               4);
  std::vector<std::string> verdicts;
  for (const json& gate : report["gates"]) verdicts.push_back(gate["verdict"]);
  CAPTURE(report["gates"].dump());
  CHECK(verdicts == std::vector<std::string>{"pass", "pass", "pass", "fail"});
}

TEST_CASE("server: a batch gathers queries; an engine is made for it") {
  const json report = measured({"--scenario", "server", "--batch", "4", "--max-queue-delay", "1ms",
                                "--rate", "100000", "--iterations", "400"});
  const json& row = report["cases"][0];
  check_counts(row);
  CHECK(row["schedule"]["max_batch"] == 4);
  CHECK(row["schedule"]["max_queue_delay_ns"] == 1'000'000);
  CHECK(row["schedule"]["issued"] == 400);
  CHECK(row["batch"] == 4);
  // All batches but the first may be full: far fewer executions than queries.
  CHECK(row["throughput"]["items_per_s"].get<double>() ==
        doctest::Approx(row["schedule"]["achieved_qps"].get<double>()));
}

TEST_CASE("offline: all are due at once, so latencies fill the whole run") {
  const json report =
      measured({"--scenario", "offline", "--streams", "2", "--batch", "4", "--iterations", "200"});
  const json& row = report["cases"][0];
  CHECK(row["streams"] == 2);
  check_counts(row);
  CHECK(row["schedule"]["completed"] == 200);
  CHECK(row["target_qps"].is_null());
  CHECK(row["latency"]["max"].get<double>() <= row["schedule"]["time_ns"].get<double>());
  CHECK(row["latency"]["max"].get<double>() >= 0.9 * row["schedule"]["time_ns"].get<double>());
  CHECK(row["throughput"]["items_per_s"].get<double>() ==
        doctest::Approx(200e9 / row["schedule"]["time_ns"].get<double>()).epsilon(0.01));
}

TEST_CASE("multi: every stream runs as many iterations; a round lasts as long as its slowest") {
  json row = measured({"--scenario", "multi", "--streams", "3", "--iterations", "40"})["cases"][0];
  CHECK(row["samples"]["n"] >= 120);
  CHECK(row["streams"] == 3);
  CHECK(row["schedule"].is_null());
  CHECK(row["samples"]["stop_reason"] == "iterations");
  CHECK_FALSE(row.contains("joint_latency"));

  row = measured(
      {"--scenario", "multi", "--streams", "3", "--lockstep", "--iterations", "100"})["cases"][0];
  CHECK(row["samples"]["n"] == 300);
  CHECK(row["lockstep"] == true);
  CHECK(row["joint_latency"]["max"] >= row["latency"]["max"]);
  CHECK(row["joint_latency"]["median"]["value"] >= row["latency"]["median"]["value"]);
}

TEST_CASE("the torchscript engine serves from several workers") {
  const json row = measured({"--scenario", "server", "--streams", "2", "--engine", "torchscript",
                             "--iterations", "100"})["cases"][0];
  CHECK(row["engine"] == "torchscript");
  check_counts(row);
}

TEST_CASE("--find-peak: trials, the highest rate that holds, and latencies at it") {
  json row = measured({"--scenario", "server", "--find-peak", "--slo", "10s", "--arrival",
                       "constant", "--iterations", "1500", "--max-time", "15s"})["cases"][0];
  const json& peak = row["peak"];
  REQUIRE(peak["trials"].size() > 0);
  CHECK(peak["slo_ns"] == 10'000'000'000);
  // Whether a rate is met depends on the stalls of this machine; what follows from it does not.
  double best = 0;
  double lowest = peak["trials"][0]["rate_per_s"];
  for (const json& trial : peak["trials"]) {
    const double rate = trial["rate_per_s"];
    lowest = std::min(lowest, rate);
    CHECK(trial["queries"].get<int64_t>() <= int64_t{1500} << (trial["look"].get<int64_t>() - 1));
    if (trial["verdict"] != "met") continue;
    best = std::max(best, rate);
    CHECK(trial["over"] <= trial["allowed"]);
    CHECK(trial["caught_up"] == true);
  }
  if (best > 0)
    CHECK(peak["rate_per_s"] == best);
  else
    CHECK(peak["rate_per_s"].is_null());
  CHECK(row["target_qps"] == (best > 0 ? best : lowest));
  check_counts(row);

  // No model answers within a nanosecond.
  row = measured({"--scenario", "server", "--find-peak", "--slo", "1ns", "--iterations", "700",
                  "--max-time", "6s"})["cases"][0];
  CHECK(row["peak"]["rate_per_s"].is_null());
  CHECK(row["peak"]["trials"][0]["verdict"] == "missed");
  CHECK(row["schedule"]["goodput_qps"] == 0);
}

TEST_CASE("sweeps and several processes keep the scenario") {
  const json report = measured({"--scenario", "offline", "--batch", "1,4", "--processes", "2",
                                "--iterations", "80", "--max-time", "2s"});
  REQUIRE(report["cases"].size() == 2);
  for (const json& row : report["cases"]) {
    CHECK(row["scenario"] == "offline");
    CHECK(row["samples"]["n"] == 160);
    CHECK(row["samples"]["stop_reason"] == "served_all");
    CHECK(row["schedule"]["completed"] == 80);  // of the first process
    CHECK(row["throughput"]["items_per_s"] > 0);
    // One query at a time is answered faster than all of them.
    CHECK(row["latency"]["median"]["value"] > row["service"]["median"]["value"]);
  }
  CHECK(report["sweep"]["optimal_batches"].size() == 1);
  const json listed =
      measured({"--scenario", "multi", "--streams", "2", "--batch", "1,2", "--dry-run"});
  CHECK(listed["cases"][1]["scenario"] == "multi");
}

TEST_CASE("--frames simulates each power mode of the profile under each policy") {
  json row =
      measured({"--frames", "30", "--iterations", "70", "--profile", "raspberry_pi_4"})["cases"][0];
  CHECK(row["scenario"] == "single");
  REQUIRE(row["frames"].size() == 9);
  std::set<std::string> policies;
  for (const json& one : row["frames"]) {
    policies.insert(one["policy"].get<std::string>());
    CHECK(one["simulated"] == true);
    CHECK(one["device"] == "raspberry_pi_4");
    CHECK(one["not_timed_there"].get<std::string>().find("aarch64") != std::string::npos);
    CHECK(one["frames"] == 1800);
    CHECK(one["frames"] == one["skipped"].get<int64_t>() + one["dropped"].get<int64_t>() +
                               one["processed"].get<int64_t>());
    const bool saves = one["power_mode"] == "powersave";
    CHECK(one["frame_skip"] == (saves ? 3 : one["power_mode"] == "balanced" ? 1 : 0));
    if (saves && one["policy"] == "every") CHECK(one["processed"] == 450);
    CHECK((one["power_mode"] == "performance") ==
          (one["note"].get<std::string>().find("its batch is 8") == 0));
  }
  CHECK(policies == std::set<std::string>{"every", "drop-late", "latest-only"});

  // Ten thousand frames a second are more than the interpreter answers.
  row = measured({"--scenario", "offline", "--frames", "10000", "--power-mode", "performance",
                  "--engine", "interpreter", "--early-exit", "50%:10%", "--iterations",
                  "70"})["cases"][0];
  REQUIRE(row["frames"].size() == 3);
  const auto& every = row["frames"][0];
  const auto& latest = row["frames"][2];
  CHECK(latest["policy"] == "latest-only");
  CHECK(latest["dropped"] > 0);
  CHECK(every["max_waiting"] > latest["dropped"].get<int64_t>() / 100);
  CHECK(every["result_age"]["p95_ns"] > latest["result_age"]["p95_ns"]);
  CHECK(every["early_exits"] > 0);
}

TEST_CASE("what a scenario has no use for is refused with a next step") {
  // Values that cannot be read say what is expected; the rest has a hint.
  const auto unreadable = [](const std::vector<std::string>& more,
                             const std::vector<std::string>& named) {
    check_refused(run_lathe(in_one_thread(more)), 2, named);
  };
  const auto refused = [](const std::vector<std::string>& more,
                          const std::vector<std::string>& named) {
    const CliResult result = run_lathe(in_one_thread(more));
    check_refused(result, 2, named);
    INFO(result.err);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 2);
  };
  refused({"--scenario", "burst"}, {"--scenario"});
  refused({"--slo", "50ms"}, {"--slo"});
  refused({"--scenario", "offline", "--slo", "50ms"}, {"--slo", "offline"});
  unreadable({"--scenario", "server", "--slo", "50"}, {"--slo"});
  refused({"--scenario", "server", "--slo", "0"}, {"--slo"});
  refused({"--scenario", "server", "--find-peak"}, {"--find-peak"});
  refused({"--scenario", "multi", "--find-peak", "--slo", "1ms"}, {"multi"});
  refused({"--scenario", "multi", "--rate", "10"}, {"--rate"});
  unreadable({"--scenario", "server", "--rate", "0"}, {"--rate"});
  unreadable({"--scenario", "server", "--rate", "many"}, {"--rate"});
  refused({"--scenario", "server", "--max-queue-delay", "1ms"}, {"--max-queue-delay"});
  refused({"--scenario", "server", "--lockstep"}, {"--lockstep"});
  refused({"--streams", "2"}, {"--streams"});
  refused({"--scenario", "multi", "--streams", "0"}, {"--streams"});
  refused({"--scenario", "multi", "--streams", "257"}, {"--streams"});
  refused({"--scenario", "server", "--against", kGlyphs}, {"--against", "server"});
  refused({"--scenario", "server", "--self-check"}, {"--self-check"});
  unreadable({"--frames", "0"}, {"--frames"});
  refused({"--frames", "30", "--power-mode", "turbo"}, {"turbo"});
  refused({"--power-mode", "balanced"}, {"--power-mode"});
  refused({"--frames", "30", "--early-exit", "50%"}, {"--early-exit"});
  unreadable({"--frames", "30", "--early-exit", "50%:900%"}, {"--early-exit"});
}

TEST_CASE("a signal leaves the report of what was measured so far") {
  const ScratchDirectory folder;
  const std::string path = folder.path("r.json");
  RunningLathe lathe({"bench", kGlyphs, "--threads", "1", "--scenario", "server", "--rate", "20",
                      "--iterations", "10000", "--max-time", "60s", "--report", path, "--quiet"});
  REQUIRE(wait_until([&] { return lathe.child() != 0; }));
  std::this_thread::sleep_for(std::chrono::seconds(5));
  lathe.send(SIGINT);
  CHECK(lathe.finish(60) == 130);
  const json report = json::parse(content_of(path), nullptr, false);
  REQUIRE(report.is_object());
  CHECK(schema_errors(report) == "");
  CHECK(report["complete"] == false);
  const json& row = report["cases"][0];
  CHECK(row["schedule"]["stop"] == "interrupted");
  check_counts(row);
  CHECK(row["samples"]["n"] > 0);
}

}  // namespace
}  // namespace lathe
