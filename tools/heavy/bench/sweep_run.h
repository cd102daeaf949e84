// The children of a sweep: which runs when, when a case has enough of them, and what is kept.
#pragma once

#include "console.h"
#include "heavy/bench/sweep.h"

namespace lathe {

/// Runs every case of the request in its number of processes; rounds of all cases take turns, each
/// in an order of its own. A comparison that is not settled gets twice as many, as often as the
/// request allows looks and while --max-time lasts. Cases found in --resume are not run again.
/// After SIGINT the cases so far, with `interruption` set.
Sweep run_cases(const BenchOptions& options, const BenchRequest& request, Console& console);

}  // namespace lathe
