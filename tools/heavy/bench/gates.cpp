#include "heavy/bench/gates.h"

#include <fmt/format.h>

#include "heavy/bench/quality.h"
#include "os/read_file.h"

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
  seen["coverage"] = {subject.coverage, std::nullopt, "the model has no nodes"};
  seen["peak_memory"] = counted(subject.peak.value, subject.peak.reason);
  return seen;
}

}  // namespace

std::vector<Gate> profile_gates(const Profile& profile) {
  const TargetProfile& targets = profile.targets;
  std::vector<std::string> texts;
  if (targets.size_bytes) texts.push_back(fmt::format("size <= {}B", *targets.size_bytes));
  if (targets.ram_bytes) texts.push_back(fmt::format("arena <= {}B", *targets.ram_bytes));
  if (targets.accuracy_drop)
    texts.push_back(fmt::format("accuracy_drop <= {}%", 100 * *targets.accuracy_drop));
  if (targets.latency_ms) texts.push_back(fmt::format("p95 <= {}ms", *targets.latency_ms));
  if (targets.throughput_per_s)
    texts.push_back(fmt::format("throughput >= {}/s", *targets.throughput_per_s));
  std::vector<Gate> gates;
  for (const std::string& text : texts) gates.push_back(parse_gate(text));
  return gates;
}

bool has_other_side(const BenchOptions& options) {
  return !options.against.empty() || !options.baseline.empty();
}

BenchGates read_gates(const BenchOptions& options) {
  constexpr int64_t kMaxGatesFile = 1 << 20;
  BenchGates read;
  for (const std::string& text : options.gates) read.gates.push_back(parse_gate(text));
  if (!options.gates_file.empty()) {
    const std::string text = read_file(options.gates_file, kMaxGatesFile, ExitCode::kUsage);
    for (Gate& gate : parse_gates(text, options.gates_file)) read.gates.push_back(std::move(gate));
    if (read.gates.empty())
      throw bad_usage("gate.none", "there is no gate in this file", options.gates_file);
  }
  require_against(read.gates, has_other_side(options));
  if (!options.gate_profile) return read;
  const std::string& name =
      options.gate_profile->empty() ? options.common.profile : *options.gate_profile;
  const std::vector<Gate> targets = profile_gates(load_profile(name));
  if (targets.empty())
    throw bad_usage("gate.no_targets", "this profile sets no targets", "--gate-profile " + name,
                    "give a profile with \"targets\", or --gate");
  for (const Gate& gate : targets)
    if (gate.metric == "accuracy_drop" && !has_other_side(options))
      read.skipped.emplace_back(gate, "needs --against MODEL or --baseline REPORT");
    else
      read.gates.push_back(gate);
  if (read.gates.empty())
    throw bad_usage("gate.needs_against",
                    "every target of this profile compares with another model",
                    "--gate-profile " + name, "give --against MODEL or --baseline REPORT");
  return read;
}

ComparedSpeed speed_of(const Comparison& comparison) {
  return {comparison.ratio, comparison.interval, comparison.verdict, comparison.effective_tolerance,
          comparison.note};
}

GateResult tolerance_gate(const std::string& case_id, double tolerance,
                          const ComparedSpeed& speed) {
  GateResult result;
  result.gate.text = fmt::format("--tolerance {:g}%", 100 * tolerance);
  result.gate.metric = "speedup";
  result.gate.unit = GateUnit::kTimes;
  result.gate.comparison = GateComparison::kGreaterEqual;
  result.gate.limit = result.limit = 1 / (1 + speed.effective_tolerance);
  result.case_id = case_id;
  result.reason = speed.note;
  if (speed.ratio && *speed.ratio > 0) result.observed = 1 / *speed.ratio;
  if (speed.interval && speed.interval->low > 0)
    result.ci95 = Interval{1 / speed.interval->high, 1 / speed.interval->low};
  switch (speed.verdict) {
    case ComparisonVerdict::kRegressed: result.verdict = GateVerdict::kFail; break;
    case ComparisonVerdict::kPass:
    case ComparisonVerdict::kImproved: result.verdict = GateVerdict::kPass; break;
    case ComparisonVerdict::kInconclusive:
      result.verdict = GateVerdict::kInconclusive;
      if (result.reason.empty()) result.reason = "the interval has the limit inside of it";
      break;
  }
  return result;
}

void put_quality(const MetricPair& pair, Observations& seen) {
  seen["accuracy"] = {pair.after, std::nullopt, "no item was counted"};
  seen["accuracy_drop"] = {quality_drop(pair), std::nullopt, "no item was counted"};
}

GateCase gate_case(const BenchRun& run) {
  GateCase one;
  one.id = "single";
  GateInputs& inputs = one.inputs;
  inputs.candidate = observations(run.candidate, run.session.candidate);
  if (run.load) put_load(*run.load, inputs.candidate);
  if (run.against) inputs.against = observations(*run.against, run.session.against);
  if (run.session.comparison) {
    const Comparison& comparison = *run.session.comparison;
    inputs.time_ratio = Observed{comparison.ratio, comparison.interval, comparison.note};
  }
  if (!run.metrics.empty()) put_quality(run.metrics[0], inputs.candidate);
  return one;
}

}  // namespace lathe
