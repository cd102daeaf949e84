// Does the comparison work on this machine, now? A model against itself must pass, and the model
// with a known part of work added must be found slower. How to use it with several processes: the
// child calls measure_self_check with two engines of the same model; the parent merges both series
// (merge_comparison) and calls judge_self_check.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comparison/comparison.h"
#include "comparison/comparison_merge.h"

namespace lathe {

enum class SelfCheckVerdict { kPass, kFail, kInconclusive };

/// "pass", "fail", "inconclusive".
std::string_view self_check_verdict_name(SelfCheckVerdict verdict);

/// Does `units` of work: as many turns of a chain of dependent multiplications, about 2 ns each.
void burn(int64_t units);

struct SelfCheckOptions {
  double injected = 0.05;
  ComparisonOptions comparison;
  /// Takes time in proportion to its argument; tests give one that moves their clock.
  std::function<void(int64_t units)> burn = lathe::burn;
};

/// `run` with work after it, and what that work is of its time (by the fastest of each).
struct SlowedRun {
  Runnable run;
  double added = 0;
};

/// Adds `part` of the run's time in units of `work`. The amount is calibrated by the fastest of
/// repeated timings of both, and is the same each time: a wait for the clock would end early in an
/// iteration that was preempted while it waited. The run is to be warm.
SlowedRun slow_down(const Runnable& run, double part, const std::function<void(int64_t)>& work,
                    const Conduct& conduct = {});

/// What one process measured.
struct SelfCheckRatios {
  ProcessRatios itself;  // `again` / `model`
  ProcessRatios slowed;  // `again` slowed / `model`
  double injected = 0;   // as calibrated
};

/// Both comparisons, one after the other, each with half of options.comparison.max_ns.
SelfCheckRatios measure_self_check(const Runnable& model, const Runnable& again,
                                   const SelfCheckOptions& options, const Conduct& conduct = {});

struct SelfCheck {
  Comparison itself;
  Comparison slowed;
  double injected = 0;
  SelfCheckVerdict verdict = SelfCheckVerdict::kInconclusive;
  /// The smallest slowdown that these pairs would have called regressed: effective_tolerance and
  /// half of the interval. Absent without an interval.
  std::optional<double> resolvable;
  std::string note;  // why it is not a pass; empty when it is
};

/// Pass: the model against itself passes, the slowed one regressed. Fail: a difference was seen
/// where there is none, or the slowed one passes. Inconclusive: anything else.
SelfCheck judge_self_check(Comparison itself, Comparison slowed, double injected);

/// As compare_processes: `measure` starts a child whose answer is measure_self_check's.
SelfCheck self_check_processes(
    const std::function<std::optional<SelfCheckRatios>(const ProcessPlan&)>& measure,
    const SelfCheckOptions& options, const Conduct& conduct = {});

}  // namespace lathe
