// Is the candidate slower than the baseline? Both run in one process, in short alternating blocks,
// so that whatever slows the machine down slows both down (duet benchmarking: Bulej et al.,
// arXiv 2001.05811; random interleaving: google/benchmark). Where a process put its memory favours
// one of the two by up to a per cent for as long as it lives; so several processes are compared,
// see comparison_merge.h. One process alone is judged by compare_runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "statistics/sampling.h"
#include "statistics/statistics.h"

namespace lathe {

enum class ComparisonVerdict { kRegressed, kPass, kImproved, kInconclusive };

/// "regressed", "pass", "improved", "inconclusive": as in reports.
std::string_view comparison_verdict_name(ComparisonVerdict verdict);

struct ComparisonOptions {
  /// A slowdown up to this part is no regression.
  double tolerance = 0.02;
  /// Of the whole comparison; divided among the looks, so that looking again costs nothing.
  double confidence = 0.95;
  /// Pairs of blocks before the first look of compare_runs (each further look doubles them), or of
  /// each process.
  size_t pairs = 40;
  size_t looks = 3;
  /// Processes before the first look of compare_processes; each further look doubles them.
  size_t processes = 5;
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
  /// Half-width of the interval that the same blocks give for "nothing against nothing": each pair
  /// less its neighbour, from which whatever the models differ by has gone.
  std::optional<double> noise_floor;
  double tolerance = 0;            // as asked
  double effective_tolerance = 0;  // max(tolerance, 3 noise_floor)
  /// One-sided, adjusted for the looks: of "not slower than 1 + effective_tolerance" and of "not
  /// faster than 1 - effective_tolerance". For judge_family. 1 without an interval.
  double p_regressed = 1;
  double p_improved = 1;
  ComparisonVerdict verdict = ComparisonVerdict::kInconclusive;
  /// What to tell the user beside the verdict ("this machine cannot resolve 2 %; …"); may be empty.
  std::string note;
  size_t processes = 1;
  size_t pairs = 0;
  double effective_pairs = 0;  // what they are worth, neighbours being alike
  /// Half of what a pair shows more when the candidate's block comes second (log). It is taken out
  /// of each pair; both orders are run equally often, so that it could not have moved the ratio.
  double order_effect = 0;
  size_t looks = 0;
  size_t block_iterations = 0;
  int64_t time_ns = 0;
  StopReason stop_reason = StopReason::kMaxTime;
  std::vector<double> log_ratios;  // one a pair: log of the blocks' minima, candidate / baseline;
                                   // of several processes one after the other
  std::vector<double> process_ratios;  // of each process, as `ratio`
};

/// Warms both up, then runs pairs of blocks of baseline and candidate. Of two pairs that follow
/// each other one has the candidate first, drawn anew each time, so that both run after themselves
/// and after the other equally often. The first iteration of each block is dropped (it pays for the
/// other's cache lines) and the minimum of the rest stands for the block. kConverged means that a
/// verdict was reached, kIterations that all looks were used up. Exceptions of either pass through.
Comparison compare_runs(const Runnable& baseline, const Runnable& candidate,
                        const ComparisonOptions& options, const Conduct& conduct = {});

/// What one process measured: plain numbers, to be sent from a child to its parent.
struct ProcessRatios {
  std::vector<double> log_ratios;  // one a pair, in order; the order effect is taken out
  double order_effect = 0;
  size_t block_iterations = 0;
  int64_t time_ns = 0;
  StopReason stop_reason = StopReason::kIterations;
  WarmUp baseline_warm_up;
  WarmUp candidate_warm_up;
};

/// options.pairs pairs of blocks as compare_runs runs them, without a verdict. Fewer when
/// options.max_ns or an interruption ends it. This is what a child of compare_processes does.
ProcessRatios measure_pairs(const Runnable& baseline, const Runnable& candidate,
                            const ComparisonOptions& options, const Conduct& conduct = {});

/// The verdict by the interval of the time ratio: low > 1 + tolerance regressed; high < 1 +
/// tolerance pass, and improved when also high < 1 - tolerance; else inconclusive.
ComparisonVerdict judge_ratio(const Interval& ratio, double tolerance);

}  // namespace lathe
