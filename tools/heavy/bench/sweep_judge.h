// What a sweep's cases say beside one another: which are beaten, which to take, who got slower.
#pragma once

#include <nlohmann/json.hpp>

#include "heavy/bench/sweep.h"

namespace lathe {

/// Marks the cases that no other beats in latency, size and accuracy, and finds the optimal batch
/// of each model, engine and number of threads.
void rank_cases(Sweep& sweep);

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
