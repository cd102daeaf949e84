// The highest rate of queries that a server answers within its latency objective. Each rate is
// judged by a binomial bound on the number of queries over the limit, as MLPerf LoadGen judges its
// Server scenario (early stopping, "tolerance 0"), with two cares more. Queries behind the same
// burst are late together, so the bound counts a query for what it is worth (`clustering`; without
// it one search in five promises too much on a simulated M/D/1 queue). And a rate above capacity
// could pass because its trial was short, so the queue has to have been empty again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "load/arrival.h"
#include "load/open_loop.h"

namespace lathe {

struct PeakSearchOptions {
  int64_t slo_ns = 0;
  double percentile = 0.99;
  double confidence = 0.99;
  double first_rate_per_s = 0;  // where to begin: half of workers / median latency is a good guess
  double min_rate_per_s = 1e-3;
  double max_rate_per_s = 1e6;
  double resolution = 0.05;  // stop when the failed rate is so much above the met one, relative
  /// Queries of a rate's first trial; 0: twice samples_needed(percentile).
  size_t queries = 0;
  /// An undecided rate is tried again with as many queries as it had so far, up to so many times in
  /// all, and judged by all its queries. The doubt is shared between these looks.
  size_t looks = 3;
  size_t max_trials = 40;
  int64_t max_ns = 120'000'000'000;
  uint64_t seed = 0;
};

/// What a trial has to run: its own seed each, so that no rate is judged by one sequence of gaps.
struct LoadRequest {
  double rate_per_s = 0;
  size_t queries = 0;
  uint64_t seed = 0;
  int64_t slo_ns = 0;
  int64_t max_ns = 0;  // what is left of the budget
};

using LoadTrial = std::function<OpenLoopResult(const LoadRequest&)>;

enum class TrialVerdict { kMet, kMissed, kUndecided };

/// "met", "missed", "undecided": as in reports.
std::string_view trial_verdict_name(TrialVerdict verdict);

struct PeakTrial {
  double rate_per_s = 0;
  size_t look = 1;
  size_t queries = 0;                // judged at this rate so far, this trial included
  size_t over = 0;                   // of these over the limit
  double clustering = 1;             // of them
  std::optional<size_t> allowed;     // how many may be over, for `met`; absent: too few queries
  std::optional<double> latency_ns;  // at the percentile, this trial's; absent with too few
  size_t max_backlog = 0;
  bool caught_up = false;  // OpenLoopResult's; a rate is never met without
  double goodput_per_s = 0;
  int64_t time_ns = 0;
  TrialVerdict verdict = TrialVerdict::kUndecided;
};

enum class PeakStop {
  kResolved,     // a met and a failed rate within the resolution
  kNeverMet,     // not even at min_rate_per_s
  kNeverMissed,  // met at max_rate_per_s
  kMaxTrials,
  kMaxTime,  // also when a rate's queries would need more than is left
  kInterrupted,
};

/// "resolved", "never_met", "never_missed", "max_trials", "max_time", "interrupted".
std::string_view peak_stop_name(PeakStop stop);

struct Peak {
  std::optional<double> rate_per_s;         // the highest met
  std::optional<double> failed_rate_per_s;  // the lowest above it that was missed or undecided
  std::vector<PeakTrial> trials;            // in the order they were run
  PeakStop stop = PeakStop::kMaxTrials;
};

/// Doubles or halves from the first rate until one is met and one is not, then bisects the
/// logarithm of the rate. A rate that stays undecided counts as not met. Throws Error (exit 2) for
/// an SLO, percentile, confidence or rate outside of its range; exceptions of `trial` pass through.
Peak find_peak(const LoadTrial& trial, const PeakSearchOptions& options,
               const Conduct& conduct = {});

/// The trial that runs `run` in the server scenario; of `options` the SLO is replaced by the
/// request's, and max_ns bounds each trial together with what is left of the budget.
LoadTrial server_trial(const BatchRunnable& run, Arrival arrival, const OpenLoopOptions& options,
                       const Conduct& conduct);

}  // namespace lathe
