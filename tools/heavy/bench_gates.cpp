#include "heavy/bench_gates.h"

#include "heavy/bench_quality.h"

namespace lathe {
namespace {

Observed counted(const std::optional<int64_t>& value, const std::string& reason) {
  if (!value) return {std::nullopt, std::nullopt, reason};
  return {static_cast<double>(*value), std::nullopt, {}};
}

Observations observations(const BenchSubject& subject, const std::optional<Timing>& timing) {
  Observations seen;
  if (timing) {
    seen = latency_observations(timing->summary);
    const Throughput& rate = timing->throughput;
    seen["throughput"] = {
        rate.items_per_s,
        rate.has_interval ? std::optional(Interval{rate.low, rate.high}) : std::nullopt,
        rate.has_interval ? "" : "too few samples for an interval"};
  }
  seen["size"] = counted(subject.size_bytes, subject.size_reason);
  seen["weights"] = counted(subject.facts.weights_bytes, "not known");
  seen["arena"] = counted(subject.arena_bytes, subject.arena_reason);
  seen["peak_memory"] = counted(subject.peak.value, subject.peak.reason);
  return seen;
}

}  // namespace

std::vector<Gate> read_gates(const std::vector<std::string>& texts, bool has_against) {
  std::vector<Gate> gates;
  for (const std::string& text : texts) gates.push_back(parse_gate(text));
  require_against(gates, has_against);
  return gates;
}

std::vector<GateResult> judge_gates(const std::vector<Gate>& gates, const BenchRun& run) {
  GateInputs inputs;
  inputs.candidate = observations(run.candidate, run.session.candidate);
  if (run.against) inputs.against = observations(*run.against, run.session.against);
  if (run.session.comparison) {
    const Comparison& comparison = *run.session.comparison;
    inputs.time_ratio = Observed{comparison.ratio, comparison.interval, comparison.note};
  }
  if (!run.metrics.empty()) {
    const MetricPair& pair = run.metrics[0];
    inputs.candidate["accuracy"] = {pair.after, std::nullopt, "no item was counted"};
    inputs.candidate["accuracy_drop"] = {quality_drop(pair), std::nullopt, "no item was counted"};
  }
  std::vector<GateResult> results;
  for (const Gate& gate : gates) results.push_back(evaluate_gate(gate, inputs));
  return results;
}

}  // namespace lathe
