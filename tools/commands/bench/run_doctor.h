// What bench says of the machine: `--doctor`, can measurements on it be believed? `--self-check`,
// would a comparison of this model find a slowdown of 5 %, and none where there is none?
#pragma once

#include "console.h"
#include "options.h"

namespace lathe {

/// About five seconds. Exit 0 when the machine resolves --tolerance, else 5 (inconclusive); other
/// warnings do not change the code. Throws Error (exit 2) when models, data or gates are given.
int run_doctor(const BenchOptions& options, Console& console);

/// Processes of their own each load the model twice and compare it with itself, as it is and with
/// 5 % of work added (comparison/self_check.h). The report's section `self_check` has both
/// comparisons, their process ratios, and the smallest slowdown that would have been found. Exit 0
/// when the check passes, 4 when it fails, 5 when it is inconclusive. Throws Error (exit 2) for
/// several models or settings, --against or gates, and what a child failed with when none measured.
int run_self_check(const BenchOptions& options, Console& console);

}  // namespace lathe
