#include "heavy/bench/self_check.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "comparison/self_check.h"
#include "heavy/bench/batch.h"
#include "heavy/bench/child.h"
#include "heavy/bench/request.h"
#include "heavy/bench/rows.h"
#include "heavy/bench/setup.h"
#include "heavy/bench/subject.h"
#include "heavy/model_data.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/signals.h"
#include "report/json_text.h"
#include "report/strict_json.h"
#include "run/denormals.h"
#include "statistics/clock.h"

namespace lathe {
namespace {

using nlohmann::json;

// A child warms up and measures for so long at most; loading comes on top.
constexpr int64_t kMostChildNs = 10'000'000'000;

SelfCheckOptions check_options(const BenchRequest& request, uint64_t seed) {
  SelfCheckOptions check;
  check.comparison.tolerance = request.tolerance;
  check.comparison.max_ns = request.max_ns;
  check.comparison.seed = seed;
  return check;
}

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

// One process: the model twice, in the plan's order.
SelfCheckRatios measure_child(const BenchOptions& options, const BenchRequest& request,
                              const ProcessPlan& plan, int64_t max_ns, Console& console) {
  const CommonOptions& common = options.common;
  const BenchCase& setting = request.cases.front();
  const Profile profile = load_profile(common.profile);
  std::array<std::optional<BenchSubject>, 2> subjects;
  std::vector<HeapPadding> paddings;
  std::optional<DataSet> data;
  std::vector<std::vector<Tensor>> pool;
  for (const bool first : {true, false}) {
    paddings.push_back(pad_heap(first ? plan.first_heap_padding : plan.second_heap_padding));
    std::optional<BenchSubject>& subject = subjects[first == plan.candidate_loads_first ? 1 : 0];
    subject = load_subject(setting.model, setting.engine, setting.batch, profile, common, console);
    if (!data) {
      data = open_data_for(options.data.empty() ? "random" : options.data, subject->model,
                           static_cast<int64_t>(kPoolSamples), common, console);
      for (size_t i = 0; i < data->size(); ++i) pool.push_back(data->sample(i));
      if (setting.batch) pool = stack_samples(pool, subject->model.graph, *setting.batch);
    }
    run_first(*subject, pool, first);
    throw_if_interrupted();
  }
  SelfCheckOptions check = check_options(request, plan.seed);
  check.comparison.max_ns = max_ns;
  check.comparison.warm_up.min_ns = std::min<int64_t>(200'000'000, max_ns / 20);
  check.comparison.warm_up.max_ns = max_ns / 10;
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  const auto runnable = [](const BenchSubject& subject) {
    return [&engine = *subject.engine](size_t iteration) { engine.execute(iteration); };
  };
  const SelfCheckRatios ratios =
      measure_self_check(runnable(*subjects[0]), runnable(*subjects[1]), check, conduct);
  throw_if_interrupted();
  return ratios;
}

int run_child_part(const BenchOptions& options, const BenchRequest& request, Console& console) {
  const json document = parse_json_strict(options.self_check_child, "--self-check-child");
  JsonReader spec(document, "--self-check-child");
  const auto number = static_cast<size_t>(spec.integer("number", 0, 1'000'000));
  const int64_t max_ns = spec.integer("max_ns", 1, INT64_MAX);
  spec.finish();
  const SelfCheckRatios ratios =
      measure_child(options, request, process_plan(options.common.seed, number), max_ns, console);
  Report report = start_report("bench", options.common);
  report.details = {{"self_check_child",
                     {{"itself", ratios_json(ratios.itself)},
                      {"slowed", ratios_json(ratios.slowed)},
                      {"injected", ratios.injected}}}};
  console.deliver(to_json(report), options.common);
  return 0;
}

ChildCommand self_check_command(const BenchOptions& options, const BenchRequest& request,
                                const ProcessPlan& plan, int64_t max_ns) {
  ChildCommand command = child_command(request.cases.front(), options, request, plan.number, false);
  const auto flag = std::find(command.argv.begin(), command.argv.end(), "--case-child");
  if (flag == command.argv.end() || flag + 1 == command.argv.end())
    throw InternalError("a child's command without --case-child");
  *flag = "--self-check-child";
  *(flag + 1) = compact_json_text({{"number", plan.number}, {"max_ns", max_ns}});
  return command;
}

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
  const int64_t start = now_ns();
  BenchOptions options = given;
  const bool is_child = !options.self_check_child.empty();
  options.processes = 1;
  if (options.tolerance.empty()) options.tolerance = "2%";
  const BenchRequest request = read_request(options);
  refuse_more_than_one(options, request);
  options.common.threads = request.cases.front().threads;
  use_threads(options.common);
  flush_denormals(options.denormals == "flush");
  if (is_child) return run_child_part(options, request, console);

  Report report = start_report("bench", options.common);
  SelfCheckOptions check = check_options(request, options.common.seed);
  if (given.processes > 1) check.comparison.processes = static_cast<size_t>(given.processes);
  const int64_t child_ns = std::min(
      kMostChildNs,
      std::max<int64_t>(1, request.max_ns / static_cast<int64_t>(check.comparison.processes)));
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
        const ChildOutcome outcome = run_case(self_check_command(options, request, plan, child_ns));
        if (outcome.failure) {
          failure = outcome.failure;
          return std::nullopt;
        }
        JsonReader reader(outcome.report, "the child's report");
        JsonReader part = reader.object("self_check_child");
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
  console.print(self_check_text(found, console));
  report.run.duration_ns = now_ns() - start;
  console.deliver(to_json(report), options.common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
