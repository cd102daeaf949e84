// Gates of a benchmark: what they may see of it.
#pragma once

#include <string>
#include <vector>

#include "heavy/bench_run.h"

namespace lathe {

/// Parses --gate and refuses (exit 2) those that need a model that was not given.
std::vector<Gate> read_gates(const std::vector<std::string>& texts, bool has_against);

/// Judges every gate by what the run measured.
std::vector<GateResult> judge_gates(const std::vector<Gate>& gates, const BenchRun& run);

}  // namespace lathe
