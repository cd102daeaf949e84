#include "measure/session.h"

#include <algorithm>

namespace lathe {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

WarmUpOptions warm_up_options(int64_t budget, const SessionOptions& session) {
  WarmUpOptions options;
  options.min_ns = std::min(options.min_ns, budget / 10);
  options.max_ns = std::min(options.max_ns, budget / 4);
  if (session.warm_up_iterations) {
    options.min_iterations = options.max_iterations = *session.warm_up_iterations;
    options.min_ns = 0;
    // Only the number ends it.
    options.agreement = -1;
    options.max_ns = INT64_MAX;
  }
  return options;
}

// None at all where the caller asks for none.
WarmUp warm_up_for(const Runnable& run, int64_t budget, const SessionOptions& options,
                   const Conduct& conduct) {
  if (options.warm_up_iterations == 0) return {.stop_reason = StopReason::kIterations};
  return warm_up(run, warm_up_options(budget, options), conduct);
}

// Both were warmed by their own loops; what remains is to learn how long an iteration takes.
WarmUpOptions already_warm() {
  WarmUpOptions options;
  options.min_iterations = 3;
  options.min_ns = 0;
  options.max_ns = 0;
  return options;
}

std::optional<Timing> time_alone(const Runnable& run, double items, int64_t budget,
                                 const SessionOptions& options, const Conduct& conduct,
                                 const std::function<void(std::string_view)>& phase) {
  const int64_t start = conduct.clock();
  Timing timing;
  if (phase) phase("warming up");
  timing.warm_up = warm_up_for(run, budget, options, conduct);
  if (timing.warm_up.stop_reason == StopReason::kInterrupted) return std::nullopt;
  if (phase) phase("measuring");
  SamplingOptions sampling;
  sampling.enough_samples = options.enough_samples;
  sampling.iterations = options.iterations;
  sampling.max_ns = std::max<int64_t>(1, budget - (conduct.clock() - start));
  sampling.min_ns = std::min(kSecond, sampling.max_ns / 2);
  timing.samples = take_samples(run, sampling, conduct);
  timing.summary = summarize(timing.samples.latency_ns);
  timing.throughput = throughput(timing.summary, items);
  return timing;
}

ComparisonOptions comparison_options(const SessionOptions& options, int64_t budget) {
  ComparisonOptions comparison;
  comparison.tolerance = options.tolerance;
  comparison.seed = options.seed;
  comparison.looks = options.looks;
  comparison.max_ns = budget;
  comparison.warm_up = already_warm();
  if (options.iterations) {
    comparison.looks = 1;
    comparison.pairs = *options.iterations / comparison.block_iterations;
  }
  return comparison;
}

bool was_interrupted(const std::optional<Timing>& timing) {
  return !timing || timing->samples.stop_reason == StopReason::kInterrupted;
}

}  // namespace

Session run_soak_session(const Runnable& candidate, double items, int64_t duration_ns,
                         const SoakSide& side, const SessionOptions& options,
                         const Conduct& conduct,
                         const std::function<void(std::string_view)>& phase) {
  Session session;
  Timing timing;
  if (phase) phase("warming up");
  timing.warm_up = warm_up_for(candidate, duration_ns, options, conduct);
  session.interrupted = timing.warm_up.stop_reason == StopReason::kInterrupted;
  if (session.interrupted) return session;
  if (phase) phase("measuring");
  SoakRun soak = run_soak(candidate, duration_ns, side, conduct);
  session.interrupted = soak.interrupted;
  timing.samples = {std::move(soak.latency_ns), soak.time_ns,
                    soak.interrupted ? StopReason::kInterrupted : StopReason::kMaxTime};
  timing.summary = summarize(timing.samples.latency_ns);
  timing.throughput = throughput(timing.summary, items);
  session.candidate = std::move(timing);
  session.soak = std::move(soak);
  return session;
}

Session run_session(const Runnable& candidate, const Runnable* against, double items,
                    const SessionOptions& options, const Conduct& conduct,
                    const std::function<void(std::string_view)>& phase) {
  const int64_t start = conduct.clock();
  const int64_t share = against == nullptr ? options.max_ns : options.max_ns / 5;
  Session session;
  session.candidate = time_alone(candidate, items, share, options, conduct, phase);
  session.interrupted = was_interrupted(session.candidate);
  if (against == nullptr || session.interrupted) return session;
  session.against = time_alone(*against, items, share, options, conduct, phase);
  session.interrupted = was_interrupted(session.against);
  if (session.interrupted) return session;
  if (phase) phase("comparing");
  const int64_t left = std::max<int64_t>(1, options.max_ns - (conduct.clock() - start));
  session.comparison =
      compare_runs(*against, candidate, comparison_options(options, left), conduct);
  session.interrupted = session.comparison->stop_reason == StopReason::kInterrupted;
  return session;
}

}  // namespace lathe
