// A benchmark for people: one screen, verdict first.
#pragma once

#include <string>

#include "console.h"
#include "heavy/bench_run.h"

namespace lathe {

/// Verdict line, table of both models, gates, and at most three hints.
std::string bench_text(const BenchRun& run, const Console& console);

}  // namespace lathe
