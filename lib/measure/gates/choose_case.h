// Which of several measured cases to take.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gates/gate.h"
#include "gates/gate_cases.h"

namespace lathe {

/// Costs of one case, each better when smaller; absent: not known, which never beats a known one.
using Costs = std::vector<std::optional<double>>;

/// True for those that no other beats: as good in every cost and better in one. All rows have the
/// same length. A row without any known cost is never in the front.
std::vector<bool> pareto_front(const std::vector<Costs>& rows);

/// Whether less of the metric is better (latencies and sizes; not throughput, speedup, accuracy,
/// coverage). Throws InternalError for an unknown metric.
bool is_smaller_better(const std::string& metric);

/// Of the cases that did not fail and pass every gate, the one with the least of `metric` (the most
/// when `maximize`); of equals the one with the smaller median, else the first. nullopt when there
/// is none.
std::optional<size_t> recommend_case(std::span<const GateCase> cases, std::span<const Gate> gates,
                                     const std::string& metric, bool maximize = false);

struct BatchTime {
  int64_t batch = 1;
  double median_ns = 0;
};

/// The batch with the smallest time per item; of those within `agreement` of it the smallest batch,
/// which answers sooner. nullopt for none.
std::optional<int64_t> optimal_batch(std::span<const BatchTime> times, double agreement = 0.02);

}  // namespace lathe
