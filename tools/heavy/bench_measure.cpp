#include "heavy/bench_measure.h"

#include <algorithm>

#include "bench/clock.h"
#include "os/pressure.h"
#include "os/signals.h"

namespace lathe {

void measure_case(const BenchRequest& request, const BenchOptions& options, Console& console,
                  BenchRun& run) {
  SessionOptions session;
  session.max_ns = request.max_ns;
  session.tolerance = request.tolerance;
  session.enough_samples = samples_for_gates(request.gates, session.enough_samples);
  session.seed = options.common.seed;
  if (options.iterations > 0) session.iterations = static_cast<size_t>(options.iterations);
  Progress& progress = console.progress();
  progress.start("measuring", 0, "iterations");
  progress.pause();
  int64_t done = 0;
  Conduct conduct;
  // Asked between iterations only, never inside of a timed one.
  conduct.interrupted = [&] {
    progress.resume();
    progress.update(done);
    progress.pause();
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
  run.session = run_session(candidate, run.against ? &against : nullptr,
                            static_cast<double>(run.inputs.items), session, conduct,
                            [&](std::string_view phase) {
                              console.detail(std::string(phase));
                              progress.start(phase, 0, "iterations");
                            });
  progress.resume();
  progress.finish();
  const auto ticks_after = cpu_ticks();
  if (ticks && ticks_after) run.disturbance.steal = steal_share(*ticks, *ticks_after);
  const auto pressure_after = cpu_pressure_us();
  const int64_t elapsed = now_ns() - start;
  if (pressure && pressure_after && elapsed > 0)
    run.disturbance.pressure =
        static_cast<double>(*pressure_after - *pressure) * 1e3 / static_cast<double>(elapsed);
  if (run.session.candidate)
    run.findings = stability_findings(run.session.candidate->samples.latency_ns,
                                      run.session.candidate->summary, run.disturbance);
  run.interrupted = run.session.interrupted;
}

}  // namespace lathe
