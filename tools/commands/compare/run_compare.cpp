// lathe compare: error of one model against another on data.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>

#include "artifact/open_plan.h"
#include "command_run.h"
#include "commands/compare/compare_arithmetic.h"
#include "heavy/commands.h"
#include "heavy/error_rows.h"
#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "names/engines.h"

namespace lathe {
namespace {

// The first output that misses --tolerance or --min-sqnr, or that is NaN where the other is not.
std::string missed_bound(const CompareOptionsCli& options, const CompareResult& result) {
  for (const ValueError& output : result.outputs) {
    const std::string name = escape_untrusted(output.value);
    if (output.sums.count == 0) return "output " + name + " is empty: nothing was compared";
    if (output.sums.unequal_non_finite > 0 && (options.tolerance || options.min_sqnr))
      return fmt::format("output {}: {} elements are NaN or infinite in one model only", name,
                         output.sums.unequal_non_finite);
    if (options.tolerance && output.sums.relative_max_error() > *options.tolerance)
      return fmt::format("output {}: error {:.3e} is above the tolerance {:.3e}", name,
                         output.sums.relative_max_error(), *options.tolerance);
    if (options.min_sqnr && output.sums.sqnr_db() < *options.min_sqnr)
      return fmt::format("output {}: {} is below {:.1f} dB", name,
                         decibel_text(output.sums.sqnr_db()), *options.min_sqnr);
  }
  return {};
}

RunnableModel open_side(const std::string& path, const std::string& other,
                        const CommonOptions& common, Console& console) {
  CommonOptions own = common;
  // What the other side, a model, is told of its inputs.
  if (is_plan_file(path) && !is_plan_file(other)) {
    own.input_shapes.clear();
    own.input_types.clear();
    own.input_values.clear();
  }
  return open_runnable(path, own, console);
}

// What computes one side: the interpreter, or the native engine, of a compiled plan or there.
class Side {
 public:
  Side(const std::string& path, const RunnableModel& opened, const CommandRun& run,
       const std::string& remote)
      : graph_(opened.model.graph) {
    CommonOptions common = run.common;
    common.remote = remote;
    if (opened.plan || !remote.empty())
      engine_ = make_engine(std::string(kNativeEngine), path, opened.model, opened.plan,
                            run.profile, common);
    else
      interpreter_.emplace(graph_);
  }

  ComparedModel model() const {
    if (interpreter_) return compared(*interpreter_);
    return {graph_, [this](const std::vector<RuntimeValue>& inputs, const RunOptions& options) {
              if (options.check) options.check();
              return engine_->run(inputs);
            }};
  }

 private:
  const Graph& graph_;
  std::optional<Interpreter> interpreter_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace

int run_compare(const CompareOptionsCli& options, Console& console) {
  const CommonOptions& common = options.common;
  check_files(common, {}, {options.first, options.second, options.data});
  CommandRun run = begin_run("compare", common, console);
  Report& report = run.report;
  const int threads = use_threads(common);
  const RunnableModel first = open_side(options.first, options.second, common, console);
  const RunnableModel second = open_side(options.second, options.first, common, console);
  const bool is_remote = !common.remote.empty();
  const bool has_plan = first.plan || second.plan || is_remote;
  const std::string no_layers =
      is_remote ? "another machine gives outputs only" : "a compiled plan shows its outputs only";
  if (has_plan && !options.arithmetic.empty())
    throw bad_usage("usage.arithmetic", "a compiled plan has its own arithmetic", "--arithmetic",
                    "compare the models that the plans were made from");
  report.model = model_facts(options.first, first.model);
  report.model_out = model_facts(options.second, second.model);
  const DataSet data = open_data_for(options.data, first.model, options.samples, common, console);
  const Side reference(options.first, first, run, {});
  const Side candidate(options.second, second, run, common.remote);
  const auto compared_with = [&](const CompareOptions& how) {
    return compare_models(reference.model(), candidate.model(), sample_source(data), how);
  };
  CompareOptions compare;
  compare.layers = !has_plan;
  compare.labels = label_source(data);
  if (data.has_labels() || !options.metric.empty())
    compare.metrics.push_back(choose_metric(options.metric, data.has_labels()));
  compare.own_carry = true;
  // An engine runs one sample at a time.
  compare.run = sample_run(has_plan ? 1 : threads, console, "comparing", data.size());
  const ComparedArithmetic arithmetic(options.arithmetic, first.model.graph, second.model.graph);
  arithmetic.apply(compare);
  const CompareResult result = compared_with(compare);
  std::optional<CompareResult> exact;
  if (arithmetic.changed_something()) {
    CompareOptions plain = compare;
    plain.layers = false;
    plain.reference_compute = plain.candidate_compute = nullptr;
    plain.run = sample_run(threads, console, "comparing with exact sums", data.size());
    exact = compared_with(plain);
  }

  const std::string missed = missed_bound(options, result);
  std::string text = missed.empty() ? console.good("outputs agree") : console.bad(missed);
  if (missed.empty() && !options.tolerance && !options.min_sqnr) text = "compared";
  text += fmt::format(" · {} samples\n\n", result.samples);
  text += table(error_table(result.outputs, 12));
  for (const MetricPair& pair : result.metrics) {
    text += fmt::format("\n  {}  {} -> {}  ({} items)\n", metric_name(pair.metric),
                        metric_text(pair.metric, pair.before), metric_text(pair.metric, pair.after),
                        pair.items);
    report.quality.push_back(
        {std::string(metric_name(pair.metric)), pair.before,
         pair.after && std::isfinite(*pair.after) ? pair.after : std::nullopt,
         pair.before && pair.after
             ? std::optional(metric_drop(pair.metric, *pair.before, *pair.after))
             : std::nullopt,
         pair.items, "this metric compares the second model with the first"});
  }
  text += arithmetic.text(result, exact ? &*exact : nullptr);
  if (has_plan) text += "\nno layers: " + no_layers + "\n";
  if (!result.layers.empty()) {
    text += "\nworst inner values\n";
    text += table(error_table(result.layers, 8));
  }
  report.details["compare"] = {{"samples", result.samples},
                               {"outputs", error_rows(result.outputs)}};
  put_or_reason(report.details["compare"], "layers",
                has_plan ? std::nullopt : std::optional(error_rows(result.layers)), no_layers);
  if (!options.arithmetic.empty())
    report.details["compare"]["arithmetic"] = arithmetic.section(exact ? &*exact : nullptr);
  report.exit_code = missed.empty() ? ExitCode::kDone : ExitCode::kGateMissed;
  return finish_run(run, text);
}

}  // namespace lathe
