#include "commands/bench/gates.h"

#include <fmt/format.h>

#include "os/read_file.h"

namespace lathe {
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

}  // namespace lathe
