// The timed part of one case, between a look at the machine before and one after.
#pragma once

#include "console.h"
#include "heavy/bench/bench_run.h"
#include "heavy/bench/request.h"

namespace lathe {

/// Fills the run's session, disturbance and findings; `interrupted` when a signal came. The case is
/// loaded (setup.h).
void measure_case(const BenchRequest& request, const BenchOptions& options, Console& console,
                  BenchRun& run);

}  // namespace lathe
