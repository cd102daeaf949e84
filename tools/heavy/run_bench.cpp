// lathe bench: how fast, how large, how accurate; compared with another model and gated.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "heavy/bench/child.h"
#include "heavy/bench/gates.h"
#include "heavy/bench/measure.h"
#include "heavy/bench/profile.h"
#include "heavy/bench/report.h"
#include "heavy/bench/request.h"
#include "heavy/bench/run_doctor.h"
#include "heavy/bench/self_check.h"
#include "heavy/bench/sensors.h"
#include "heavy/bench/setup.h"
#include "heavy/bench/sweep.h"
#include "heavy/bench/text.h"
#include "heavy/bench/trace.h"
#include "heavy/commands.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/signals.h"
#include "profiles/profile.h"
#include "run/denormals.h"
#include "statistics/clock.h"

namespace lathe {
namespace {

constexpr int64_t kLeastProfile = 500'000'000;
constexpr int64_t kMostProfile = 5'000'000'000;

void warn_of_build(const Report& report, int threads, Console& console) {
  if (!report.tool.sanitizers.empty())
    console.warn("bench.build", "this lathe is built with sanitizers: times mean nothing");
  else if (report.tool.build_type == "debug")
    console.warn("bench.build", "this lathe is a debug build: times mean little");
  warn_of_crowding("bench.threads", threads, console);
}

void refuse_passes(const BenchOptions& options) {
  const char* other = options.doctor ? "--doctor" : "--self-check";
  for (const auto& [is_given, flag] : {std::pair(options.profile_ops, "--profile-ops"),
                                       std::pair(!options.trace.empty(), "--trace")})
    if (is_given)
      throw bad_usage("usage.passes", fmt::format("{} measures no case to look into", other), flag,
                      fmt::format("leave out {}, or run it alone", flag));
}

// The passes after the timed one.
void look_closer(const BenchRequest& request, const BenchOptions& options, Console& console,
                 Report& report, BenchRun& run) {
  if (run.interrupted) return;
  count_allocations(run);
  if (options.profile_ops)
    profile_case(run, std::clamp<int64_t>(request.max_ns / 4, kLeastProfile, kMostProfile),
                 console);
  if (!options.trace.empty() && !interrupted()) trace_case(options, console, run, report);
  run.interrupted = interrupted();
}

// What a signal left of the run; nullopt when none came.
std::optional<Error> signal_error() {
  try {
    throw_if_interrupted();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace

int run_bench(const BenchOptions& given, Console& console) {
  if (given.doctor || given.self_check) refuse_passes(given);
  if (given.doctor) return run_doctor(given, console);
  if (given.self_check || !given.self_check_child.empty()) return run_self_check(given, console);
  const BenchRequest request = read_request(given);
  if (request.is_sweep) return run_sweep(given, request, console);
  BenchOptions options = given;
  CommonOptions& common = options.common;
  common.threads = request.cases.front().threads;
  const int64_t start = now_ns();
  const Profile profile = load_profile(common.profile);
  BenchRun run;
  run.threads_asked = common.threads;
  run.threads = use_threads(common);
  const bool flush = options.denormals == "flush";
  if (!flush_denormals(flush) && flush)
    throw Error(ExitCode::kEnvironment, "bench.denormals",
                {"this processor cannot flush denormal numbers", "--denormals", {}});
  Report report = start_report("bench", common);
  report.device_profile = {
      {"name", profile.name}, {"version", profile.version}, {"hash", profile.hash}};
  warn_of_build(report, run.threads, console);
  load_case(request, options, profile, console, report, run);
  measure_case(request, options, console, run);
  look_closer(request, options, console, report, run);
  for (const StabilityFinding& finding : run.findings)
    console.warn(finding.code, finding.message, finding.hint);
  if (!run.interrupted && !request.is_child) {
    const GateCase one = gate_case(run);
    run.gates = evaluate_gates(request.gates, std::span(&one, 1));
    if (request.tolerance_is_gate && run.session.comparison)
      run.gates.push_back(
          tolerance_gate("single", request.tolerance, speed_of(*run.session.comparison)));
  }
  report.exit_code = gates_exit_code(run.gates);
  fill_report(report, run, options);
  if (const auto error = signal_error(); run.interrupted && error) {
    set_error(report, *error);
    for (const Gate& gate : request.gates)
      report.gates.push_back(skipped_gate(gate, "single", "interrupted"));
  }
  for (const auto& [gate, reason] : request.skipped) {
    report.gates.push_back(skipped_gate(gate, "single", reason));
    console.warn("gate.skipped", escape_untrusted(gate.text) + ": " + reason);
  }
  if (request.is_child) report.details = {{"child", child_section(run)}};
  report.run.duration_ns = now_ns() - start;
  const nlohmann::json document = to_json(report);
  console.print(bench_text(document, console));
  console.print(details_text(report.cases, report.comparison, console));
  console.deliver(document, common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
