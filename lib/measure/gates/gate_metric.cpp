#include "gates/gate_metric.h"

namespace lathe {

namespace {

using enum GateUnit;

constexpr GateMetric latency(std::string_view name, bool sampled, bool paired, double p) {
  return {name, kNanoseconds, sampled, paired, p, true};
}

constexpr GateMetric kMetrics[] = {
    latency("min", false, true, 0),
    latency("mean", true, true, 0),
    latency("median", true, true, 0),
    latency("std", false, false, 0),
    latency("p50", true, true, 0.5),
    latency("p90", true, false, 0.9),
    latency("p95", true, false, 0.95),
    latency("p99", true, false, 0.99),
    latency("p99.9", true, false, 0.999),
    latency("max", false, false, 0),
    {.name = "throughput",
     .unit = kPerSecond,
     .sampled = true,
     .of_machine = true,
     .smaller_is_better = false},
    {.name = "speedup",
     .unit = kTimes,
     .sampled = true,
     .paired = true,
     .of_machine = true,
     .smaller_is_better = false},
    {.name = "load", .unit = kNanoseconds, .of_machine = true, .sensed = true},
    {.name = "first_inference", .unit = kNanoseconds, .of_machine = true, .sensed = true},
    {.name = "cpu", .unit = kFraction, .of_machine = true, .sensed = true},
    {.name = "energy", .unit = kJoules, .of_machine = true, .sensed = true},
    {.name = "temperature", .unit = kCelsius, .of_machine = true, .sensed = true},
    {.name = "size", .unit = kBytes},
    {.name = "weights", .unit = kBytes},
    {.name = "arena", .unit = kBytes},
    {.name = "flash", .unit = kBytes},
    {.name = "ram", .unit = kBytes},
    {.name = "instructions", .unit = kCount, .sensed = true},
    {.name = "peak_memory", .unit = kBytes, .sensed = true},
    {.name = "accuracy", .unit = kFraction, .smaller_is_better = false},
    {.name = "accuracy_drop", .unit = kFraction, .sensed = true},
    {.name = "coverage", .unit = kFraction, .smaller_is_better = false},
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
