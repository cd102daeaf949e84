// lathe bench: how fast, how large, how accurate; compared with another model and gated.
#include <fmt/format.h>


#include "bench/clock.h"
#include "heavy/bench_child.h"
#include "heavy/bench_gates.h"
#include "heavy/bench_measure.h"
#include "heavy/bench_report.h"
#include "heavy/bench_request.h"
#include "heavy/bench_self_check.h"
#include "heavy/bench_setup.h"
#include "heavy/bench_sweep.h"
#include "heavy/bench_text.h"
#include "heavy/commands.h"
#include "heavy/run_doctor.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/signals.h"
#include "profiles/profile.h"
#include "run/denormals.h"

namespace lathe {
namespace {

void warn_of_build(const Report& report, int threads, Console& console) {
  if (!report.tool.sanitizers.empty())
    console.warn("bench.build", "this lathe is built with sanitizers: times mean nothing");
  else if (report.tool.build_type == "debug")
    console.warn("bench.build", "this lathe is a debug build: times mean little");
  if (threads > usable_cpus())
    console.warn("bench.threads",
                 fmt::format("{} threads share {} usable CPUs", threads, usable_cpus()));
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
  for (const StabilityFinding& finding : run.findings)
    console.warn(finding.code, finding.message, finding.hint);
  if (!run.interrupted && !request.is_child) {
    const GateCase one = gate_case(run);
    run.gates = evaluate_gates(request.gates, std::span(&one, 1));
  }

  console.print(bench_text(run, console));
  report.exit_code = gates_exit_code(run.gates);
  const auto skip = [&](const Gate& gate, const std::string& reason) {
    report.gates.push_back({escape_untrusted(gate.text), gate.metric, "single",
                            std::string(gate_comparison_text(gate.comparison)), gate.limit,
                            std::nullopt, std::nullopt, "skipped", reason});
  };
  if (const auto error = signal_error(); run.interrupted && error) {
    set_error(report, *error);
    for (const Gate& gate : request.gates) skip(gate, "interrupted");
  }
  fill_report(report, run, options);
  for (const auto& [gate, reason] : request.skipped) {
    skip(gate, reason);
    console.warn("gate.skipped", escape_untrusted(gate.text) + ": " + reason);
  }
  if (request.is_child) report.details = {{"child", child_section(run)}};
  for (const Console::Warning& warning : console.warnings())
    report.warnings.push_back({warning.code, warning.message, warning.hint});
  report.run.duration_ns = now_ns() - start;
  console.deliver(to_json(report), common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
