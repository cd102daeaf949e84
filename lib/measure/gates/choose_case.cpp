#include "gates/choose_case.h"

#include <algorithm>
#include <cmath>

#include "gates/gate_metric.h"

namespace lathe {
namespace {

// Unknown costs are worse than any known one and equal to each other.
bool beats(const Costs& a, const Costs& b) {
  bool better = false;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i].value_or(INFINITY);
    const double y = b[i].value_or(INFINITY);
    if (x > y) return false;
    better = better || x < y;
  }
  return better;
}

bool passes(const GateCase& one, std::span<const Gate> gates) {
  return one.failure.empty() && std::all_of(gates.begin(), gates.end(), [&](const Gate& gate) {
           return evaluate_gate(gate, one.inputs).verdict == GateVerdict::kPass;
         });
}

std::optional<double> value_of(const GateCase& one, const std::string& metric) {
  if (metric == "speedup") {
    const auto& ratio = one.inputs.time_ratio;
    if (!ratio || !ratio->value || *ratio->value <= 0) return std::nullopt;
    return 1 / *ratio->value;
  }
  const auto at = one.inputs.candidate.find(metric);
  return at == one.inputs.candidate.end() ? std::nullopt : at->second.value;
}

bool is_faster(const GateCase& one, const GateCase& other) {
  const std::optional<double> here = value_of(one, "median");
  const std::optional<double> there = value_of(other, "median");
  return here && there && *here < *there;
}

}  // namespace

std::vector<bool> pareto_front(const std::vector<Costs>& rows) {
  std::vector<bool> front;
  for (const Costs& row : rows) {
    const bool known = std::any_of(row.begin(), row.end(), [](const auto& c) { return !!c; });
    front.push_back(known && std::none_of(rows.begin(), rows.end(),
                                          [&](const Costs& other) { return beats(other, row); }));
  }
  return front;
}

bool is_smaller_better(const std::string& metric) {
  const GateMetric* row = find_gate_metric(metric);
  if (row == nullptr) throw InternalError("is_smaller_better: unknown metric " + metric);
  return row->smaller_is_better;
}

std::optional<size_t> recommend_case(std::span<const GateCase> cases, std::span<const Gate> gates,
                                     const std::string& metric, bool maximize) {
  std::optional<size_t> best;
  double best_value = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    if (!passes(cases[i], gates)) continue;
    const std::optional<double> value = value_of(cases[i], metric);
    if (!value) continue;
    const bool is_equal = best && *value == best_value;
    if (is_equal && !is_faster(cases[i], cases[*best])) continue;
    if (best && !is_equal && (maximize ? *value < best_value : *value > best_value)) continue;
    best = i;
    best_value = *value;
  }
  return best;
}

std::optional<int64_t> optimal_batch(std::span<const BatchTime> times, double agreement) {
  double least = INFINITY;
  for (const BatchTime& time : times)
    least = std::min(least, time.median_ns / static_cast<double>(time.batch));
  std::optional<int64_t> best;
  for (const BatchTime& time : times)
    if (time.median_ns / static_cast<double>(time.batch) <= least * (1 + agreement) &&
        (!best || time.batch < *best))
      best = time.batch;
  return best;
}

}  // namespace lathe
