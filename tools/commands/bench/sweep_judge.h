// What a sweep's cases say beside one another: which are beaten, which to take, who got slower.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "commands/bench/sweep.h"

namespace lathe {

/// Marks the cases that no other beats in latency, size and accuracy, and finds the optimal batch
/// of each model, engine and number of threads.
void rank_cases(Sweep& sweep);

/// Cases of which someone asks that they are not slower than the other side; at least 1.
size_t gated_cases(const BenchRequest& request);

/// Gives gates on the speed of this case the interval that holds for all gated cases together
/// (Bonferroni: each at its part of the error rate).
void widen_for_gates(SweepCase& one, const BenchOptions& options, const BenchRequest& request);

/// Whether no gate on the speed of this case is undecided.
bool is_speed_decided(const SweepCase& one, const BenchRequest& request);

/// The `comparison` section with --against: verdicts corrected (Holm) for how many gated cases were
/// compared, one geometric mean. Null without any compared case.
nlohmann::json judge_against(Sweep& sweep, const BenchOptions& options,
                             const BenchRequest& request);

/// The `comparison` section with --baseline, and what gates may see of the stored cases. `report`
/// is this run's, its cases filled in. Throws Error as compare_with_baseline does.
nlohmann::json judge_baseline(Sweep& sweep, const nlohmann::json& report,
                              const nlohmann::json& baseline, const BenchOptions& options,
                              const BenchRequest& request);

/// Gates, --tolerance, cases that the baseline has and this run has not, and the recommendation.
void judge_gates(Sweep& sweep, const BenchOptions& options, const BenchRequest& request);

}  // namespace lathe
