// Warming something up and timing it, closed loop: the next call starts when the last one returned.
// What is timed is a callable that gets the iteration's number (0, 1, 2, …); it chooses its input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "statistics/clock.h"
#include "statistics/statistics.h"

namespace lathe {

using Runnable = std::function<void(size_t iteration)>;

/// Where a measurement gets its time, and who may end it. Both are asked between iterations only.
struct Conduct {
  Clock clock = now_ns;
  std::function<bool()> interrupted = [] { return false; };
};

enum class StopReason {
  kConverged,   // precise enough, and samples enough
  kIterations,  // the asked number was run; nothing is claimed about convergence
  kMaxTime,
  kMaxIterations,
  kInterrupted,
};

/// "converged", "iterations", "max_time", "max_iterations", "interrupted": as in reports.
std::string_view stop_reason_name(StopReason reason);

struct WarmUpOptions {
  size_t min_iterations = 5;
  int64_t min_ns = 500'000'000;
  double agreement = 0.02;  // of the medians of the last two windows, relative
  int64_t max_ns = 5'000'000'000;
  size_t max_iterations = 100'000;
};

struct WarmUp {
  size_t iterations = 0;
  int64_t time_ns = 0;
  double last_median_ns = 0;  // of the last window: how long one iteration takes
  bool converged = false;
  StopReason stop_reason = StopReason::kMaxTime;
};

/// Runs until min_iterations and min_ns are reached and the medians of the last two windows (each
/// a quarter of the iterations so far) agree, or a cap is hit. Exceptions of `run` pass through.
WarmUp warm_up(const Runnable& run, const WarmUpOptions& options, const Conduct& conduct = {});

struct SamplingOptions {
  /// Stop when the half-width of the median's 95 % interval is below this part of the median …
  double max_half_width = 0.01;
  /// … with at least so many samples (samples_needed(p) of the highest percentile that a gate
  /// names) and so much time; a fast model thereby gets its p99 for nothing.
  size_t enough_samples = 64;
  int64_t min_ns = 1'000'000'000;
  int64_t max_ns = 60'000'000'000;
  size_t max_iterations = 1'000'000;
  /// Exactly so many, unless interrupted or out of time.
  std::optional<size_t> iterations;
};

struct Samples {
  std::vector<double> latency_ns;  // in the order of measurement, none left out
  int64_t time_ns = 0;             // from the first start to the last end, bookkeeping included
  StopReason stop_reason = StopReason::kMaxTime;
};

/// At least one sample, whatever the limits. The iterations' numbers start at 0.
Samples take_samples(const Runnable& run, const SamplingOptions& options,
                     const Conduct& conduct = {});

/// Items per second while running: items_per_iteration / latency, at the median and at both ends
/// of its interval (a high latency is a low throughput).
Estimate throughput(const Summary& latency_ns, double items_per_iteration);

}  // namespace lathe
