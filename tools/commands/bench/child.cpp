#include "commands/bench/child.h"

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>

#include "commands/bench/soak.h"
#include "ir/error.h"
#include "os/signals.h"
#include "peaks_report.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

// An iteration that is under way is finished first: the child knows how long that may take. Others
// still remove their temporary files.
constexpr double kInterruptGrace = 62;
constexpr double kCleaningGrace = 3;

json samples_json(std::span<const double> latency_ns) {
  json out = json::array();
  for (const double ns : latency_ns) out.push_back(std::llround(ns));
  return out;
}

json samples_json(const std::optional<Timing>& timing) {
  return timing ? samples_json(timing->samples.latency_ns) : json::array();
}

json share_json(const std::optional<double>& share) { return share ? json(*share) : json(nullptr); }

CaseFailure failure_of(const ChildResult& result) {
  CaseFailure failure;
  if (result.signal != 0) {
    const char* name = ::sigabbrev_np(result.signal);
    failure.signal = result.signal;
    failure.code = result.signal == 9 ? ExitCode::kLimit : ExitCode::kBadInput;
    failure.id = "bench.crash";
    failure.message =
        fmt::format("ended by signal {} (SIG{})", result.signal, name != nullptr ? name : "?");
    if (result.signal == 9) failure.message += ", which the kernel sends when memory runs out";
    failure.text.message = failure.message;
    return failure;
  }
  failure.code = static_cast<ExitCode>(result.exit_code);
  failure.id = "bench.child";
  failure.message = failure.text.message = fmt::format("exit {}", result.exit_code);
  return failure;
}

}  // namespace

json ratios_json(const ProcessRatios& ratios) {
  return {{"log_ratios", ratios.log_ratios},
          {"order_effect", ratios.order_effect},
          {"block_iterations", ratios.block_iterations},
          {"time_ns", ratios.time_ns}};
}

ProcessRatios read_ratios(JsonReader reader) {
  constexpr double kMost = 100;
  ProcessRatios ratios;
  ratios.log_ratios = reader.numbers("log_ratios", -kMost, kMost);
  ratios.order_effect = reader.number("order_effect", -kMost, kMost);
  ratios.block_iterations = static_cast<size_t>(reader.integer("block_iterations", 0, 1 << 20));
  ratios.time_ns = reader.integer("time_ns", 0, INT64_MAX);
  return ratios;
}

json child_section(const BenchRun& run) {
  json out{{"candidate_ns",
            run.load ? samples_json(run.load->latency_ns) : samples_json(run.session.candidate)},
           {"against_ns", samples_json(run.session.against)},
           {"coverage", share_json(run.candidate.coverage)},
           {"against_coverage", share_json(run.against ? run.against->coverage : std::nullopt)}};
  if (run.session.soak) out["soak"] = soak_points_json(*run.session.soak);
  if (run.simulated) out["simulated"] = estimate_json(*run.simulated, false);
  if (const auto& comparison = run.session.comparison)
    out["pairs"] = ratios_json({comparison->log_ratios, comparison->order_effect,
                                comparison->block_iterations, comparison->time_ns});
  if (run.self_check) {
    out["itself"] = ratios_json(run.self_check->itself);
    out["slowed"] = ratios_json(run.self_check->slowed);
    out["injected"] = run.self_check->injected;
  }
  return out;
}

ChildCommand child_command(const BenchCase& one, const BenchOptions& options,
                           const BenchRequest& request, size_t process, bool wants_quality) {
  const CommonOptions& common = options.common;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  // "--" is no protection: a model whose name starts with a dash is given as a path.
  const auto path = [](const std::string& file) {
    return file.starts_with("-") ? "./" + file : file;
  };
  ChildCommand command;
  std::vector<std::string>& argv = command.argv;
  argv = {program,
          "bench",
          path(one.model),
          "--json",
          "--quiet",
          "--case-child",
          child_spec(request, process, wants_quality)};
  const auto add = [&](const char* flag, const std::string& value) {
    if (value.empty()) return;
    argv.emplace_back(flag);
    argv.push_back(value);
  };
  const auto add_all = [&](const char* flag, const std::vector<std::string>& values) {
    for (const std::string& value : values) add(flag, value);
  };
  const std::string& against = request.is_self_check ? one.model : options.against;
  add("--against", against.empty() ? "" : path(against));
  add("--engine", one.engine);
  add("--threads", std::to_string(one.threads));
  add("--remote", one.remote);
  if (!one.remote.empty()) add("--runner", common.runner);
  if (one.batch) add("--batch", std::to_string(*one.batch));
  add("--data", options.data);
  if (wants_quality) add("--metric", options.metric);
  add("--samples", std::to_string(options.samples));
  add("--tolerance", fmt::format("{}%", 100 * request.tolerance));
  add("--max-time", fmt::format("{}ns", std::max<int64_t>(1, request.max_ns / request.processes)));
  add("--duration", options.duration);
  if (options.warmup) add("--warmup", std::to_string(*options.warmup));
  add("--iterations", std::to_string(options.iterations));
  add("--denormals", options.denormals);
  add("--rounding", options.code.rounding);
  add("--max-ram", options.code.max_ram);
  add("--fast-ram", options.code.fast_ram);
  add("--seed", std::to_string(common.seed));
  add("--profile", common.profile);
  add("--max-memory", common.max_memory);
  add("--limits", common.limits);
  add_all("--input-shape", common.input_shapes);
  add_all("--input-type", common.input_types);
  add_all("--input-value", common.input_values);
  if (common.trust) argv.emplace_back("--trust");
  if (common.follow_links) argv.emplace_back("--follow-links");
  // One process tells where the time goes; what the others measure is not disturbed by it.
  if (process == 0) {
    if (options.profile_ops) argv.emplace_back("--profile-ops");
    add("--trace", options.trace.empty() ? "" : path(options.trace));
    if (!options.trace.empty() && common.force) argv.emplace_back("--force");
  }
  const std::vector<std::string> load = load_flags(options);
  argv.insert(argv.end(), load.begin(), load.end());
  command.interrupt_grace_seconds = kCleaningGrace;
  if (request.is_alone()) {
    command.interrupt_grace_seconds = kInterruptGrace;
    command.returns_when_interrupted = true;
  }
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const ProcessPlan plan = process_plan(common.seed, process);
  environment.push_back("LATHE_PADDING=" + std::string(plan.environment_padding, 'x'));
  command.environment = std::move(environment);
  return command;
}

ChildOutcome run_case(const ChildCommand& command) {
  const ChildResult result = run_child(command);
  ChildOutcome outcome;
  if (result.signal != 0) {
    outcome.failure = failure_of(result);
    return outcome;
  }
  try {
    outcome.report = parse_json_strict(result.output, "the child's report", ExitCode::kUsage,
                                       command.max_output_bytes);
    if (!outcome.report.is_object()) throw bad_input("bench.child", "no report");
  } catch (const Error& error) {
    outcome.failure = failure_of(result);
    if (result.exit_code == 0) {
      outcome.failure->code = error.code();
      outcome.failure->message = outcome.failure->text.message = error.text().message;
    }
    return outcome;
  }
  if (outcome.report.value("complete", false)) return outcome;
  outcome.failure = failure_of(result);
  if (outcome.report.contains("error")) {
    const json& error = outcome.report["error"];
    outcome.failure->id = error.value("code", outcome.failure->id);
    ErrorText& text = outcome.failure->text;
    text = {error.value("message", ""), error.value("where", ""), error.value("hint", "")};
    outcome.failure->message =
        text.hint.empty() ? text.message : text.message + " (" + text.hint + ")";
  }
  return outcome;
}

}  // namespace lathe
