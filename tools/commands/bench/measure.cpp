#include "commands/bench/bench_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "commands/bench/remote.h"
#include "commands/bench/sensors.h"
#include "os/host.h"
#include "os/pressure.h"
#include "os/signals.h"
#include "peaks/reference_loop.h"
#include "profiles/profile.h"
#include "statistics/clock.h"

namespace lathe {
namespace {

// Follows a session through its phases: what the sensors say of each model, and when each began.
class PhaseLog {
 public:
  PhaseLog(BenchRun& run, const int64_t& iterations) : run_(run), iterations_(iterations) {}

  void begin(std::string_view phase) {
    const bool is_warm_up = phase == "warming up";
    if (is_warm_up) ++models_;
    if (is_warm_up || phase == "comparing") {
      sensors_.cut();
      counts_.push_back(iterations_);
    }
    end_phase();
    std::string name(is_warm_up ? "warm-up" : phase == "measuring" ? "timed runs" : phase);
    if (models_ == 2 && phase != "comparing") name += ", against";
    run_.phases.push_back({std::move(name), now_ns(), 0});
  }
  void tick() { sensors_.tick(); }
  void end() {
    end_phase();
    sensors_.cut();
    counts_.push_back(iterations_);
    take(0, run_.details);
    if (models_ == 2) take(1, run_.against_details);
  }

 private:
  void end_phase() {
    if (run_.phases.empty()) return;
    PhaseTime& last = run_.phases.back();
    last.duration_ns = now_ns() - last.start_ns;
  }
  void take(size_t i, CaseDetails& details) const {
    details.sensors = sensors_.part(i);
    if (details.sensors) details.inferences = static_cast<size_t>(counts_[i + 1] - counts_[i]);
  }

  BenchRun& run_;
  const int64_t& iterations_;
  SensorLog sensors_;
  std::vector<int64_t> counts_;  // of iterations, at each cut
  int models_ = 0;
};

// The scenarios with several engines; the peak of memory is then that of all of them.
void measure_load(const BenchRequest& request, const BenchOptions& options, Console& console,
                  PhaseLog& log, int64_t& done, BenchRun& run) {
  const size_t each = std::max<size_t>(1, static_cast<size_t>(run.threads) / request.load.streams);
  if (request.load.streams * each > static_cast<size_t>(usable_cpus()))
    console.warn("bench.threads",
                 fmt::format("{} workers of {} thread{} share {} usable CPUs", request.load.streams,
                             each, each == 1 ? "" : "s", usable_cpus()));
  const bool reset = request.load.streams > 1 && reset_peak_resident();
  run.load = run_load(request, options, run.candidate, run.pool, run.inputs.items, run.threads,
                      console, [&](std::string_view phase) { log.begin(phase); });
  done = static_cast<int64_t>(run.load->warm_up.iterations + run.load->service_ns.size());
  if (!reset) return;
  run.candidate.peak = peak_resident_bytes();
  run.candidate.peak_method = "VmHWM of the process, reset before its workers were made";
}

// Latencies of one execution each, whatever the scenario.
std::span<const double> executions(const BenchRun& run) {
  if (run.load) return run.load->service_ns;
  if (run.session.candidate) return run.session.candidate->samples.latency_ns;
  return {};
}

void simulate_frames_of(const BenchRequest& request, const BenchOptions& options, BenchRun& run) {
  const std::span<const double> service_ns = executions(run);
  if (!request.frames || service_ns.empty()) return;
  MeasuredSetting measured;
  measured.batch = static_cast<size_t>(run.inputs.items);
  measured.threads = run.load ? run.load->threads_each : run.threads;
  measured.workers = request.load.streams;
  measured.cores = usable_cpus();
  run.frames = simulate_camera(service_ns, *request.frames, load_profile(request.device), measured,
                               options.common.seed);
}

SelfCheckOptions self_check_options(const SessionOptions& session) {
  SelfCheckOptions check;
  check.comparison.tolerance = session.tolerance;
  check.comparison.max_ns = session.max_ns;
  check.comparison.seed = session.seed;
  check.comparison.warm_up.min_ns = std::min<int64_t>(200'000'000, session.max_ns / 20);
  check.comparison.warm_up.max_ns = session.max_ns / 10;
  return check;
}

}  // namespace

void measure_case(const BenchRequest& request, const BenchOptions& options, Console& console,
                  BenchRun& run) {
  SessionOptions session;
  session.max_ns = request.max_ns;
  session.tolerance = request.tolerance;
  session.enough_samples = samples_for_gates(request.gates, session.enough_samples);
  session.seed = request.plan.seed;
  session.looks = request.looks;
  if (options.warmup) session.warm_up_iterations = static_cast<size_t>(*options.warmup);
  if (options.iterations > 0) session.iterations = static_cast<size_t>(options.iterations);
  Progress& progress = console.progress();
  progress.start("measuring", 0, "iterations");
  progress.pause();
  int64_t done = 0;
  PhaseLog log(run, done);
  const bool is_here = !run.candidate.engine_facts.remote;
  Conduct conduct;
  conduct.clock = clock_of(run.candidate, run.against ? &*run.against : nullptr);
  // Asked between iterations only, never inside of a timed one.
  conduct.interrupted = [&] {
    progress.resume();
    progress.update(done);
    progress.pause();
    log.tick();
    return interrupted();
  };
  const auto runnable = [&done](const BenchSubject& subject) {
    return [&engine = *subject.engine, &done](size_t iteration) {
      engine.execute(iteration);
      ++done;
    };
  };
  const Runnable candidate = runnable(run.candidate);
  const Runnable against = run.against ? Runnable(runnable(*run.against)) : Runnable();
  const auto ticks = cpu_ticks();
  const auto pressure = cpu_pressure_us();
  const int64_t start = now_ns();
  // An iteration that is under way at SIGINT is finished before the partial report is written.
  const double slowest = static_cast<double>(std::max(
      run.candidate.first_inference_ns, run.against ? run.against->first_inference_ns : 0));
  set_interrupt_grace(2 + static_cast<unsigned>(std::min(60.0, 12 * slowest / 1e9)));
  const auto begin_phase = [&](std::string_view phase) {
    console.detail(std::string(phase));
    log.begin(phase);
    progress.start(phase, 0, "iterations");
  };
  if (request.load.is_load())
    measure_load(request, options, console, log, done, run);
  else if (request.is_self_check)
    run.self_check = measure_self_check(candidate, against, self_check_options(session), conduct);
  else if (request.duration_ns)
    run.session = run_soak_session(
        candidate, static_cast<double>(run.inputs.items), *request.duration_ns,
        {[] { return resident_bytes().value; }, reference_loop()}, session, conduct, begin_phase);
  else
    run.session = run_session(candidate, run.against ? &against : nullptr,
                              static_cast<double>(run.inputs.items), session, conduct, begin_phase);
  log.end();
  if (!is_here) run.details.sensors = run.against_details.sensors = std::nullopt;
  progress.resume();
  progress.finish();
  const auto ticks_after = cpu_ticks();
  if (is_here && ticks && ticks_after) run.disturbance.steal = steal_share(*ticks, *ticks_after);
  const auto pressure_after = cpu_pressure_us();
  const int64_t elapsed = now_ns() - start;
  if (is_here && pressure && pressure_after && elapsed > 0)
    run.disturbance.pressure =
        static_cast<double>(*pressure_after - *pressure) * 1e3 / static_cast<double>(elapsed);
  if (run.session.candidate)
    run.findings = stability_findings(run.session.candidate->samples.latency_ns,
                                      run.session.candidate->summary, run.disturbance);
  // Of the executions: a queue that fills and empties says nothing of the machine.
  if (run.load && run.load->service)
    run.findings = stability_findings(run.load->service_ns, *run.load->service, run.disturbance);
  simulate_frames_of(request, options, run);
  run.interrupted = run.session.interrupted || (run.load && run.load->interrupted);
}

}  // namespace lathe
