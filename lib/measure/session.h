// One benchmark from warm-up to comparison, within one budget of time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "comparison/comparison.h"
#include "statistics/sampling.h"
#include "statistics/soak.h"
#include "statistics/statistics.h"

namespace lathe {

struct SessionOptions {
  int64_t max_ns = 60'000'000'000;  // of everything together
  double tolerance = 0.02;          // of the comparison
  size_t enough_samples = 64;       // samples_for_gates
  /// Exactly so many latencies of each model; the comparison then makes one look.
  std::optional<size_t> iterations;
  /// Exactly so many before anything counts.
  std::optional<size_t> warm_up_iterations;
  size_t looks = 3;  // of the comparison
  uint64_t seed = 0;
};

/// What one model's own closed loop gave.
struct Timing {
  WarmUp warm_up;
  Samples samples;
  Summary summary;
  Estimate throughput;  // items per second
};

struct Session {
  std::optional<Timing> candidate;  // absent when interrupted before its first sample
  std::optional<Timing> against;
  std::optional<Comparison> comparison;
  std::optional<SoakRun> soak;
  bool interrupted = false;
};

/// Warms up and times the candidate, then the --against model when there is one (a fifth of the
/// budget each), then both in alternation with what is left. Each model gives at least one sample,
/// whatever the budget. `items`: throughput counts so many an iteration. `phase` is told what
/// starts ("warming up", "measuring", "comparing"); it is called outside of timed blocks.
Session run_session(const Runnable& candidate, const Runnable* against, double items,
                    const SessionOptions& options, const Conduct& conduct = {},
                    const std::function<void(std::string_view)>& phase = {});

/// Warms up and runs the candidate for that long (statistics/soak.h); its latencies are thinned.
Session run_soak_session(const Runnable& candidate, double items, int64_t duration_ns,
                         const SoakSide& side, const SessionOptions& options,
                         const Conduct& conduct = {},
                         const std::function<void(std::string_view)>& phase = {});

}  // namespace lathe
