#include "commands/bench/load_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands/bench/gates.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "profiles/profile.h"

namespace lathe {
namespace {

[[noreturn]] void refuse(const char* flag, const std::string& what, const std::string& hint) {
  throw bad_usage("usage.scenario", what, flag, hint);
}

void refuse_without_scenario(const BenchOptions& options, const LoadPlan& plan) {
  const bool is_server = plan.scenario == Scenario::kServer;
  const std::string name(scenario_name(plan.scenario));
  const auto server_only = [&](bool given, const char* flag, const char* what) {
    if (given && !is_server)
      refuse(flag, fmt::format("the {} scenario has no {}", name, what), "add --scenario server");
  };
  server_only(plan.slo_ns.has_value(), "--slo", "arrivals to keep a latency objective with");
  server_only(plan.find_peak, "--find-peak", "rate to search");
  server_only(plan.rate_per_s.has_value(), "--rate", "rate of arrivals");
  server_only(!options.arrival.empty(), "--arrival", "arrivals");
  server_only(plan.max_delay_ns.has_value(), "--max-queue-delay", "queue");
  if (plan.find_peak && !plan.slo_ns)
    refuse("--find-peak", "the peak rate is the highest that keeps a latency objective",
           "say which one, for example --slo 50ms");
  if (plan.max_delay_ns && options.batch.empty())
    refuse("--max-queue-delay", "a query that runs alone waits for no batch",
           "add --batch, for example --batch 8");
  if (plan.lockstep && plan.scenario != Scenario::kMulti)
    refuse("--lockstep", fmt::format("the {} scenario has no streams that start together", name),
           "add --scenario multi");
  if (plan.streams > 1 && !plan.is_load())
    refuse("--streams", "the single scenario is one stream",
           "add --scenario multi, server or offline");
  if (!plan.is_load()) return;
  if (!options.against.empty())
    refuse("--against",
           fmt::format("two models are compared in the single scenario, not in {}", name),
           "leave out --scenario, or give both models and no --against for a table of both");
  if (options.self_check)
    refuse("--self-check", "it checks the single scenario's comparison", "leave out --scenario");
}

}  // namespace

LoadPlan read_load_plan(const BenchOptions& options) {
  LoadPlan plan;
  const std::optional<Scenario> scenario = parse_scenario(options.scenario);
  if (!scenario)
    refuse("--scenario", "there is no scenario '" + escape_untrusted(options.scenario) + "'",
           "single, multi, server, offline");
  plan.scenario = *scenario;
  plan.streams = static_cast<size_t>(options.streams);
  plan.lockstep = options.lockstep;
  plan.find_peak = options.find_peak;
  if (!options.rate.empty()) plan.rate_per_s = parse_number(options.rate, "--rate", 1e-3, 1e6);
  if (!options.arrival.empty()) {
    const std::optional<Arrival> arrival = parse_arrival(options.arrival);
    if (!arrival)
      refuse("--arrival", "there is no arrival '" + escape_untrusted(options.arrival) + "'",
             "poisson, constant");
    plan.arrival = *arrival;
  }
  if (!options.slo.empty()) {
    plan.slo_ns = parse_nanoseconds(options.slo, "--slo");
    if (*plan.slo_ns <= 0)
      refuse("--slo", "no query is answered in no time", "for example --slo 50ms");
  }
  if (!options.max_queue_delay.empty())
    plan.max_delay_ns = parse_nanoseconds(options.max_queue_delay, "--max-queue-delay");
  refuse_without_scenario(options, plan);
  return plan;
}

std::optional<FramePlan> read_frame_plan(const BenchOptions& options) {
  if (options.frames.empty()) {
    if (!options.power_mode.empty() || !options.early_exit.empty())
      refuse(options.early_exit.empty() ? "--power-mode" : "--early-exit",
             "this is simulated on a camera's frames", "add --frames FPS, for example --frames 30");
    return std::nullopt;
  }
  FramePlan plan;
  plan.fps = parse_number(options.frames, "--frames", 1e-3, 1e6);
  plan.power_mode = options.power_mode;
  if (!plan.power_mode.empty()) {
    const Profile profile = load_profile(device_name(options));
    std::vector<std::string> names;
    for (const auto& [name, mode] : profile.power_modes) names.push_back(name);
    if (!profile.power_modes.contains(plan.power_mode))
      refuse("--power-mode",
             fmt::format("the profile {} has no power mode '{}'", escape_untrusted(profile.name),
                         escape_untrusted(plan.power_mode)),
             names.empty() ? "give another --profile"
                           : fmt::format("it has: {}", fmt::join(names, ", ")));
  }
  if (!options.early_exit.empty()) {
    const size_t colon = options.early_exit.find(':');
    if (colon == std::string::npos)
      refuse("--early-exit", "it takes the share that leaves early and what that costs",
             "for example --early-exit 40%:30%");
    plan.early_exit.share = parse_fraction(options.early_exit.substr(0, colon), "--early-exit");
    plan.early_exit.cost = parse_fraction(options.early_exit.substr(colon + 1), "--early-exit");
  }
  return plan;
}

std::vector<std::string> load_flags(const BenchOptions& options) {
  std::vector<std::string> flags;
  const auto add = [&flags](const char* flag, const std::string& value) {
    if (value.empty()) return;
    flags.emplace_back(flag);
    flags.push_back(value);
  };
  if (options.scenario != "single") add("--scenario", options.scenario);
  if (options.streams != 1) add("--streams", std::to_string(options.streams));
  add("--rate", options.rate);
  add("--arrival", options.arrival);
  add("--slo", options.slo);
  add("--max-queue-delay", options.max_queue_delay);
  add("--frames", options.frames);
  add("--power-mode", options.power_mode);
  add("--early-exit", options.early_exit);
  if (options.lockstep) flags.emplace_back("--lockstep");
  if (options.find_peak) flags.emplace_back("--find-peak");
  return flags;
}

}  // namespace lathe
