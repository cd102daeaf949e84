// Is the candidate slower than the baseline? Both run in one process, in short alternating blocks,
// so that whatever slows the machine down slows both down (duet benchmarking: Bulej et al.,
// arXiv 2001.05811; random interleaving: google/benchmark).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sampling.h"
#include "bench/statistics.h"

namespace lathe {

enum class ComparisonVerdict { kRegressed, kPass, kImproved, kInconclusive };

/// "regressed", "pass", "improved", "inconclusive": as in reports.
std::string_view comparison_verdict_name(ComparisonVerdict verdict);

struct ComparisonOptions {
  /// A slowdown up to this part is no regression.
  double tolerance = 0.02;
  /// Of the whole comparison; divided among the looks, so that looking again costs nothing.
  double confidence = 0.95;
  /// Pairs of blocks before the first look; each further look doubles them.
  size_t pairs = 40;
  size_t looks = 3;
  /// Kept iterations a block: fewer for models so slow that block_ns holds fewer, never below 2.
  size_t block_iterations = 5;
  int64_t block_ns = 20'000'000;
  int64_t max_ns = 60'000'000'000;
  size_t resamples = 10'000;
  uint64_t seed = 0;
  WarmUpOptions warm_up;
};

struct Comparison {
  /// Time of the candidate / time of the baseline; below 1 is faster. The interval holds at
  /// `confidence` (adjusted for the looks), so a little wider than 95 %. Absent below 6 pairs.
  std::optional<double> ratio;
  std::optional<Interval> interval;
  double confidence = 0;
  /// Half-width of the interval of the baseline against itself, measured in the same minutes.
  std::optional<double> noise_floor;
  double tolerance = 0;            // as asked
  double effective_tolerance = 0;  // max(tolerance, 3 noise_floor)
  ComparisonVerdict verdict = ComparisonVerdict::kInconclusive;
  /// What to tell the user beside the verdict ("this machine cannot resolve 2 %; …"); may be empty.
  std::string note;
  size_t pairs = 0;
  size_t looks = 0;
  size_t block_iterations = 0;
  int64_t time_ns = 0;
  StopReason stop_reason = StopReason::kMaxTime;
  WarmUp baseline_warm_up;
  WarmUp candidate_warm_up;
  std::vector<double> log_ratios;  // one a pair: log of the blocks' minima, candidate / baseline
};

/// Warms both up, then runs blocks of baseline, candidate and baseline again, their order drawn
/// anew each time. The first iteration after each switch is dropped (it pays for the other's cache
/// lines) and the minimum of the rest stands for the block. kConverged means that a verdict was
/// reached, kIterations that all looks were used up. Exceptions of either pass through.
Comparison compare_runs(const Runnable& baseline, const Runnable& candidate,
                        const ComparisonOptions& options, const Conduct& conduct = {});

/// The verdict by the interval of the time ratio: low > 1 + tolerance regressed; high < 1 +
/// tolerance pass, and improved when also high < 1 - tolerance; else inconclusive.
ComparisonVerdict judge_ratio(const Interval& ratio, double tolerance);

}  // namespace lathe
