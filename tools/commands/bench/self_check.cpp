#include "commands/bench/run_doctor.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "command_run.h"
#include "commands/bench/child.h"
#include "commands/bench/request.h"
#include "commands/bench/rows.h"
#include "comparison/self_check.h"
#include "ir/error.h"
#include "os/signals.h"

namespace lathe {
namespace {

using nlohmann::json;

// A child warms up and measures for so long at most; loading comes on top.
constexpr int64_t kMostChildNs = 10'000'000'000;

json self_check_json(const SelfCheck& check) {
  json out{{"verdict", self_check_verdict_name(check.verdict)},
           {"injected", check.injected},
           {"note", check.note},
           {"alpha", 1 - check.slowed.confidence},
           {"delta_min_effect", check.slowed.tolerance},
           {"itself", comparison_row("itself", check.itself, {check.itself.log_ratios})},
           {"slowed", comparison_row("slowed", check.slowed, {check.slowed.log_ratios})}};
  put_or_reason(out, "resolvable", check.resolvable, "too few pairs for an interval");
  return out;
}

std::string row_text(const std::string& label, const Comparison& comparison) {
  if (!comparison.ratio || !comparison.interval) return "";
  const auto percent = [](double ratio) { return fmt::format("{:+.2f} %", 100 * (ratio - 1)); };
  return fmt::format("  {:<16} {:<13} {} ({} to {}), {} processes, {} pairs\n", label,
                     comparison_verdict_name(comparison.verdict), percent(*comparison.ratio),
                     percent(comparison.interval->low), percent(comparison.interval->high),
                     comparison.processes, comparison.pairs);
}

std::string self_check_text(const SelfCheck& check, const Console& console) {
  const std::string name(self_check_verdict_name(check.verdict));
  std::string out = "self-check ";
  out += check.verdict == SelfCheckVerdict::kPass ? console.good(name) : console.bad(name);
  if (check.resolvable)
    out += fmt::format(": slowdowns of {:.1f} % and more are found", 100 * *check.resolvable);
  out += "\n" + row_text("against itself", check.itself) +
         row_text(fmt::format("{:.1f} % of work added", 100 * check.injected), check.slowed);
  if (!check.note.empty()) out += "  " + check.note + "\n";
  return out;
}

void refuse_more_than_one(const BenchOptions& options, const BenchRequest& request) {
  if (request.cases.size() == 1 && options.against.empty() && request.gates.empty()) return;
  throw bad_usage("usage.self_check",
                  "--self-check takes one model at one setting, without --against and gates",
                  "--self-check", "for example lathe bench MODEL --self-check");
}

ExitCode exit_code_of(SelfCheckVerdict verdict) {
  switch (verdict) {
    case SelfCheckVerdict::kPass: return ExitCode::kDone;
    case SelfCheckVerdict::kFail: return ExitCode::kGateMissed;
    case SelfCheckVerdict::kInconclusive: return ExitCode::kInconclusive;
  }
  throw InternalError("exit_code_of: unknown verdict");
}

}  // namespace

int run_self_check(const BenchOptions& given, Console& console) {
  BenchOptions options = given;
  options.processes = 1;
  if (options.tolerance.empty()) options.tolerance = "2%";
  BenchRequest request = read_request(options);
  refuse_more_than_one(options, request);
  CommandRun run = begin_run("bench", options.common, console);
  Report& report = run.report;
  SelfCheckOptions check;
  check.comparison.tolerance = request.tolerance;
  check.comparison.max_ns = request.max_ns;
  check.comparison.seed = options.common.seed;
  if (given.processes > 1) check.comparison.processes = static_cast<size_t>(given.processes);
  request.processes = static_cast<int64_t>(check.comparison.processes);
  request.max_ns = std::min(request.max_ns, kMostChildNs * request.processes);
  std::optional<CaseFailure> failure;
  Progress& progress = console.progress();
  progress.start("comparing the model with itself", 0, "processes");
  progress.pause();
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  const SelfCheck found = self_check_processes(
      [&](const ProcessPlan& plan) -> std::optional<SelfCheckRatios> {
        progress.resume();
        progress.update(static_cast<int64_t>(plan.number));
        progress.pause();
        const ChildOutcome outcome =
            run_case(child_command(request.cases.front(), options, request, plan.number, false));
        if (outcome.failure) {
          failure = outcome.failure;
          return std::nullopt;
        }
        JsonReader reader(outcome.report, "the child's report");
        JsonReader part = reader.object("child");
        return SelfCheckRatios{read_ratios(part.object("itself")),
                               read_ratios(part.object("slowed")), part.number("injected", 0, 100)};
      },
      check, conduct);
  progress.resume();
  progress.finish();
  throw_if_interrupted();
  if (failure && found.slowed.processes == 0)
    throw Error(failure->code, failure->id, {failure->message, request.cases.front().model, {}});
  report.details = {{"self_check", self_check_json(found)}};
  report.host_noise = json::object();
  put_or_reason(report.host_noise, "aa_half_width", found.itself.noise_floor, found.itself.note);
  report.exit_code = exit_code_of(found.verdict);
  return finish_run(run, self_check_text(found, console));
}

}  // namespace lathe
