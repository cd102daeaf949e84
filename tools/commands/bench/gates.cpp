#include "commands/bench/gates.h"

#include <fmt/format.h>

#include <limits>

#include "heavy/make_remote_engine.h"
#include "ir/error.h"
#include "os/host.h"
#include "os/read_file.h"
#include "profile_device.h"

namespace lathe {
namespace {

void leave_undecided(Gate& gate, std::string why) {
  gate.basis = GateBasis::kNothing;
  gate.undecided = std::move(why);
}

// Where the times are taken decides; of several hosts none.
std::string why_elsewhere(const Profile& profile, const BenchOptions& options) {
  if (options.remotes.empty()) return why_not_timed_here(profile);
  if (options.remotes.size() > 1) return "several hosts are measured";
  try {
    return why_not_timed_there(profile, remote_host(options.remotes.front(), options.common));
  } catch (const Error& error) {
    return error.text().message;
  }
}

}  // namespace

std::vector<Gate> profile_gates(const Profile& profile, const BenchOptions& options) {
  const TargetProfile& targets = profile.targets;
  std::vector<Gate> gates;
  const auto add = [&gates](const char* text, const auto& limit) {
    if (limit) gates.push_back(parse_gate(fmt::format(fmt::runtime(text), *limit)));
  };
  const auto percent = [](std::optional<double> share) {
    return share ? std::optional(100 * *share) : std::nullopt;
  };
  add("size <= {}B", targets.size_bytes);
  // A device without an operating system has no other memory than this.
  add(profile.memory.flash_bytes ? "ram <= {}B" : "peak_memory <= {}B", targets.ram_bytes);
  add("accuracy >= {}%", percent(targets.accuracy));
  add("accuracy_drop <= {}%", percent(targets.accuracy_drop));
  add("p95 <= {}ms", targets.latency_ms);
  int64_t above = 0;
  for (const LatencyClass& each : targets.latency_classes) {
    add("p95 <= {}ms", std::optional(each.latency_ms));
    gates.back().macs = {above, each.max_macs};
    gates.back().source = each.name + "'s class, ";
    above = each.max_macs;
  }
  if (above > 0) {
    add("p95 <= {}ms", std::optional(targets.latency_classes.back().latency_ms));
    gates.back().macs = {above, std::numeric_limits<int64_t>::max()};
    leave_undecided(gates.back(),
                    fmt::format("the profile asks nothing of networks of more than {:.3g} G MACs",
                                static_cast<double>(above) / 1e9));
  }
  add("throughput >= {}/s", targets.throughput_per_s);
  add("cpu <= {}%", targets.cpu_percent);
  const std::string elsewhere = why_elsewhere(profile, options);
  const int64_t cpus = host_facts().cpus_usable;
  for (Gate& gate : gates) {
    gate.source = escape_untrusted(profile.name + ": " + gate.source + targets.source);
    if (!is_timed(gate) || gate.basis == GateBasis::kNothing) continue;
    // A share of all processors is another one of so many.
    if (!options.remotes.empty() && gate.metric == "cpu")
      leave_undecided(gate, "use of processors is not measured over --remote");
    else if (elsewhere.empty() && gate.metric == "cpu" && profile.cpu.cores != cpus)
      leave_undecided(gate, fmt::format("this host has {} usable CPUs, {} has {}", cpus,
                                        escape_untrusted(profile.name, 60), profile.cpu.cores));
    if (elsewhere.empty()) continue;
    leave_undecided(gate, elsewhere + "; measure there");
    if (!is_simulated(gate)) continue;
    if (options.allow_simulated) gate.basis = GateBasis::kSimulated;
    gate.undecided += ", or judge the simulation: --allow-simulated";
  }
  return gates;
}

std::string device_name(const BenchOptions& options) {
  const std::string named = options.gate_profile.value_or("");
  return named.empty() ? options.common.profile : named;
}

bool has_other_side(const BenchOptions& options) {
  return !options.against.empty() || !options.baseline.empty();
}

std::vector<Gate> read_gates(const BenchOptions& options) {
  constexpr int64_t kMaxGatesFile = 1 << 20;
  std::vector<Gate> gates;
  for (const std::string& text : options.gates) gates.push_back(parse_gate(text));
  if (!options.gates_file.empty()) {
    const std::string text = read_file(options.gates_file, kMaxGatesFile, ExitCode::kUsage);
    for (Gate& gate : parse_gates(text, options.gates_file)) gates.push_back(std::move(gate));
    if (gates.empty())
      throw bad_usage("gate.none", "there is no gate in this file", options.gates_file);
  }
  require_against(gates, has_other_side(options));
  // Of a few random inputs one that changes its class is chance.
  for (Gate& gate : gates)
    if ((gate.metric == "accuracy_drop" || (gate.metric == "accuracy" && !is_decibel_gate(gate))) &&
        has_other_side(options) && options.data.empty())
      leave_undecided(gate, "needs --data");
  if (!options.gate_profile) {
    if (options.allow_simulated)
      throw bad_usage("usage.allow_simulated", "only a device's targets are judged by simulation",
                      "--allow-simulated", "give --gate-profile");
    return gates;
  }
  const std::string name = device_name(options);
  std::vector<Gate> targets = profile_gates(load_profile(name), options);
  if (targets.empty())
    throw bad_usage("gate.no_targets", "this profile sets no targets", "--gate-profile " + name,
                    "give a profile with \"targets\", or --gate");
  for (Gate& gate : targets) {
    if (gate.metric == "accuracy_drop" && !has_other_side(options))
      leave_undecided(gate, "needs --against MODEL or --baseline REPORT");
    else if (gate.metric == "accuracy_drop" && options.data.empty())
      leave_undecided(gate, "needs --data");
    if (gate.metric == "accuracy" && options.data.empty())
      leave_undecided(gate, "needs --data with labels");
    gates.push_back(std::move(gate));
  }
  return gates;
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
