#include "gates/gate_metric.h"

namespace lathe {

namespace {

constexpr GateMetric kMetrics[] = {
    {"min", GateUnit::kNanoseconds, false, true, 0},
    {"mean", GateUnit::kNanoseconds, true, true, 0},
    {"median", GateUnit::kNanoseconds, true, true, 0},
    {"p50", GateUnit::kNanoseconds, true, true, 0.5},
    {"p90", GateUnit::kNanoseconds, true, false, 0.9},
    {"p95", GateUnit::kNanoseconds, true, false, 0.95},
    {"p99", GateUnit::kNanoseconds, true, false, 0.99},
    {"p99.9", GateUnit::kNanoseconds, true, false, 0.999},
    {"max", GateUnit::kNanoseconds, false, false, 0},
    {"throughput", GateUnit::kPerSecond, true, false, 0},
    {"speedup", GateUnit::kTimes, true, true, 0},
    {"size", GateUnit::kBytes, false, false, 0},
    {"weights", GateUnit::kBytes, false, false, 0},
    {"arena", GateUnit::kBytes, false, false, 0},
    {"peak_memory", GateUnit::kBytes, false, false, 0},
    {"accuracy", GateUnit::kFraction, false, false, 0},
    {"accuracy_drop", GateUnit::kFraction, false, false, 0},
    {"coverage", GateUnit::kFraction, false, false, 0},
};

}  // namespace

const GateMetric* find_gate_metric(std::string_view name) {
  for (const GateMetric& row : kMetrics) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::vector<std::string_view> gate_metrics() {
  std::vector<std::string_view> names;
  for (const GateMetric& row : kMetrics) names.push_back(row.name);
  return names;
}

}  // namespace lathe
