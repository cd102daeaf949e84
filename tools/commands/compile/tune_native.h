// lathe compile --target native --tune: what is measured on, and what is said of it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "console.h"
#include "options.h"
#include "tune/tune_plan.h"

namespace lathe {

/// Tunes on seeded random inputs, with progress on the console; the plan gets the machine's
/// fingerprint. Throws Error as tune_plan does, and exit 130 or 143 after a signal.
TunedPlan tune_native(const Graph& graph, const SpecializeGraph& specialize,
                      const LowerOptions& lower, const CompileOptions& options, Console& console);

/// `native.tuning` of reports and manifests.
nlohmann::json tuning_json(const TuningFacts& facts, const std::string& fingerprint);

/// The verdict and the steps that gained most.
std::string tuning_text(const TuningFacts& facts);

}  // namespace lathe
