// Parts of a case's row in the report, each from one result (names of lathe.report 1.0).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comparison/comparison.h"
#include "statistics/sampling.h"
#include "statistics/stability.h"
#include "statistics/statistics.h"

namespace lathe {

/// Why an estimate has no interval.
inline const std::string kFewSamples = "too few samples for an interval";

/// [low, high], or null.
nlohmann::json interval_json(const std::optional<Interval>& interval);
nlohmann::json latency_json(const Summary& summary);
/// Of all samples, nanoseconds: scale "log", bins [low, high, count] without the empty ones.
nlohmann::json histogram_json(std::span<const double> samples_ns);
/// Adds block_ratios to a row of comparison.cases: one list a process, one ratio a pair of blocks,
/// in the order of measurement; at most 1000, then every block_ratios_every-th one.
void put_block_ratios(nlohmann::json& row, const std::vector<std::vector<double>>& log_ratios);
/// A row of comparison.cases: verdict, ratio, tolerance, noise floor, how it was measured, and the
/// ratios of the blocks (of each process in `log_ratios`).
nlohmann::json comparison_row(const std::string& id, const Comparison& comparison,
                              const std::vector<std::vector<double>>& log_ratios);
nlohmann::json throughput_json(const Estimate& items_per_s);
nlohmann::json warm_up_json(const WarmUp& warm);
/// `verdict`: "stable", "not converged", "not judged". `modes`: of the samples.
nlohmann::json stability_json(const Summary& summary, StopReason reason,
                              const std::optional<TwoModes>& modes);
/// The rows of `warnings`.
nlohmann::json findings_json(const std::vector<StabilityFinding>& findings);

}  // namespace lathe
