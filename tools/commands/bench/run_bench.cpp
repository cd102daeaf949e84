// lathe bench: how fast, how large, how accurate; compared with another model and gated.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "command_run.h"
#include "commands/bench/child.h"
#include "commands/bench/deployed.h"
#include "commands/bench/emulated.h"
#include "commands/bench/profile.h"
#include "commands/bench/remote.h"
#include "commands/bench/report.h"
#include "commands/bench/request.h"
#include "commands/bench/run_doctor.h"
#include "commands/bench/sensors.h"
#include "commands/bench/sweep.h"
#include "commands/bench/trace.h"
#include "heavy/commands.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/signals.h"
#include "run/denormals.h"
#include "run/threads.h"

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
  if (!run.candidate.engine_facts.remote) count_allocations(run);
  if (options.profile_ops)
    profile_case(run, std::clamp<int64_t>(request.max_ns / 4, kLeastProfile, kMostProfile),
                 console);
  if (!options.trace.empty() && !interrupted()) trace_case(options, console, run, report);
  run.interrupted = interrupted();
}

// The rates are those of the whole device, and of queries one behind the other.
EstimatedLatency simulate_case(const BenchRequest& request, const BenchRun& run, Profile device) {
  EstimatedLatency unknown;
  if (request.load.scenario != Scenario::kSingle) {
    unknown.reason = "only single queries are simulated, no queues";
    return unknown;
  }
  if (run.candidate.engine_facts.emulated) return emulated_latency(run.candidate, device);
  if (run.candidate.engine->name() != kNativeEngine) {
    unknown.reason = fmt::format("the simulation is not of the engine {}",
                                 run.candidate.engine->name());
    return unknown;
  }
  if (run.threads_asked > 0 && run.threads_asked < device.cpu.cores && device.rates)
    for (auto& [dtype, gops] : device.rates->gops)
      gops *= static_cast<double>(run.threads_asked) / static_cast<double>(device.cpu.cores);
  return simulate(run.candidate, device);
}

// A child of run_sweep or run_self_check: its report is for the parent.
int measure_child(const BenchRequest& request, const BenchOptions& given, Console& console) {
  BenchOptions options = given;
  CommonOptions& common = options.common;
  common.threads = request.cases.front().threads;
  common.remote = request.cases.front().remote;
  CommandRun command = begin_run("bench", common, console);
  Report& report = command.report;
  BenchRun run;
  run.threads_asked = common.threads;
  run.threads = use_threads(common);
  set_thread_count_everywhere(run.threads);  // as LibTorch has it in other programs
  const bool flush = options.denormals == "flush";
  if (!flush_denormals(flush) && flush)
    throw Error(ExitCode::kEnvironment, "bench.denormals",
                {"this processor cannot flush denormal numbers", "--denormals", {}});
  if (common.remote.empty()) warn_of_build(report, run.threads, console);
  load_case(request, options, command.profile, console, report, run);
  const Profile device = load_profile(request.device);
  if (request.simulates) run.simulated = simulate_case(request, run, device);
  if (is_emulated(request.cases.front().engine)) {
    measure_emulated(request, console, run);
  } else {
    measure_case(request, options, console, run);
    if (!request.is_self_check) look_closer(request, options, console, report, run);
  }
  std::vector<Deployed> deployed;
  // Several workers are one process with a copy of the plan each: their peak stands.
  if (request.measures_deployed && !request.is_self_check && !run.interrupted &&
      request.load.streams == 1 && common.remote.empty()) {
    deployed.push_back(measure_deployed(run.candidate, command.profile, run.threads));
    if (run.against)
      deployed.push_back(measure_deployed(*run.against, command.profile, run.threads));
  }
  fill_report(report, run, options);
  for (size_t i = 0; i < deployed.size(); ++i) put_deployed(report.cases[i], deployed[i]);
  const auto put_device = [&](size_t row, const BenchSubject& subject) {
    put_remote(report.cases[row], subject, common.remote);
    put_fit(report.cases[row], subject, device);
    put_emulated(report.cases[row], subject, device);
  };
  put_device(0, run.candidate);
  if (run.against) put_device(1, *run.against);
  if (const auto& outputs = run.emulated_outputs)
    report.cases[0]["emulated"]["outputs"] = {{"samples", outputs->samples},
                                              {"same", outputs->same},
                                              {"steps", outputs->steps},
                                              {"relative_error", outputs->relative_error}};
  try {
    if (run.interrupted) throw_if_interrupted();
  } catch (const Error& error) {
    set_error(report, error);
  }
  report.details = {{"child", child_section(run)}};
  return finish_run(command);
}

}  // namespace

int run_bench(const BenchOptions& options, Console& console) {
  if (options.doctor || options.self_check) refuse_passes(options);
  if (options.doctor) return run_doctor(options, console);
  if (options.self_check) return run_self_check(options, console);
  const BenchRequest request = read_request(options);
  if (request.is_child) return measure_child(request, options, console);
  return run_sweep(options, request, console);
}

}  // namespace lathe
