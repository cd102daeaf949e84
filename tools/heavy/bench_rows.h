// Parts of a case's row in the report, each from one result (names of lathe.report 1.0).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "bench/sampling.h"
#include "bench/stability.h"
#include "bench/statistics.h"

namespace lathe {

/// [low, high], or null.
nlohmann::json interval_json(const std::optional<Interval>& interval);
nlohmann::json latency_json(const Summary& summary);
nlohmann::json throughput_json(const Throughput& rate);
/// `verdict`: "stable", "not converged", "not judged". `modes`: of the samples.
nlohmann::json stability_json(const Summary& summary, StopReason reason,
                              const std::optional<TwoModes>& modes);
/// The rows of `warnings`.
nlohmann::json findings_json(const std::vector<StabilityFinding>& findings);

}  // namespace lathe
