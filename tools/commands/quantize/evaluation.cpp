#include "commands/quantize/evaluation.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "heavy/error_rows.h"
#include "heavy/model_data.h"
#include "ir/error.h"

namespace lathe {

namespace {

constexpr size_t kFurtherOutputs = 3;  // on the screen

void compare_on(const QuantizeJob& job, const Graph& before, const Graph& after,
                Evaluation& evaluation) {
  const QuantizeOptions& options = job.options;
  const DataSet data = job_data(job, options.eval, 0);
  evaluation.metric = choose_metric(options.metric, data.has_labels());
  const bool classes = has_class_output(before);
  // What --max-drop was judged by is what is told.
  if (evaluation.metric == Metric::kAgreement && options.metric.empty() &&
      options.max_drop.empty() && !classes)
    evaluation.metric = Metric::kSqnr;
  CompareOptions compare;
  compare.metrics.push_back(evaluation.metric);
  if (evaluation.metric != Metric::kAgreement && classes)
    compare.metrics.push_back(Metric::kAgreement);
  compare.labels = label_source(data);
  compare.own_carry = true;
  compare.run = sample_run(job.threads, job.console, "evaluating", data.size());
  evaluation.result =
      compare_graphs(Interpreter(before), Interpreter(after), sample_source(data), compare);
  const MetricPair& pair = evaluation.result.metrics[0];
  // Metrics against the float model have their perfect value as "before".
  const double before_value =
      pair.before.value_or(evaluation.metric == Metric::kAgreement ? 1.0 : 0.0);
  if (pair.after && evaluation.metric != Metric::kSqnr)
    evaluation.drop = metric_drop(evaluation.metric, before_value, *pair.after);
}

bool is_command(const HeldTarget& target) { return target.metric == "eval_command"; }

bool is_inside(const HeldTarget& target) {
  const auto& interval = target.reading.interval;
  return target.held && interval && interval->high > target.allowed.value_or(1);
}

GateRow gate_of(const HeldTarget& target) {
  GateRow gate;
  gate.id = "max_drop";
  gate.metric = "accuracy_drop";
  gate.op = "<=";
  gate.limit = target.allowed.value_or(0);
  gate.unit = "fraction";
  gate.observed = target.reading.drop;
  if (target.reading.interval)
    gate.ci95 = {target.reading.interval->low, target.reading.interval->high};
  gate.verdict = target.held ? "pass" : "fail";
  gate.reason = "of " + target.metric;
  if (target.reading.interval)
    gate.reason += fmt::format("; interval: {}", target.reading.interval->method);
  if (is_inside(target)) gate.reason += ", which includes a miss";
  return gate;
}

}  // namespace

Evaluation evaluate_quantized(const QuantizeJob& job, const Graph& before, const Graph& after,
                              std::optional<HeldTarget> target) {
  Evaluation evaluation;
  if (!job.options.eval.empty()) compare_on(job, before, after, evaluation);
  evaluation.missed = !job.options.max_drop.empty() && target && !target->held;
  evaluation.target = std::move(target);
  return evaluation;
}

void report_quality(const Evaluation& evaluation, Report& report) {
  if (evaluation.target) {
    const HeldTarget& target = *evaluation.target;
    if (is_command(target))
      report.quality.push_back({target.metric, target.reading.before, target.reading.after,
                                target.reading.drop, 0, "--eval-command"});
    // Without --max-drop nothing is asked of it.
    if (target.allowed) report.gates.push_back(gate_of(target));
  }
  if (evaluation.result.samples == 0) return;
  for (const MetricPair& pair : evaluation.result.metrics) {
    const auto finite = [](const std::optional<double>& value) {
      return value && std::isfinite(*value) ? value : std::nullopt;
    };
    report.quality.push_back(
        {std::string(metric_name(pair.metric)), pair.before, finite(pair.after),
         pair.metric == evaluation.metric ? finite(evaluation.drop) : std::nullopt, pair.items,
         "compares with the float model"});
  }
  report.details["error_by_value"] = {{"outputs", error_rows(evaluation.result.outputs)},
                                      {"layers", error_rows(evaluation.result.layers)},
                                      {"samples", evaluation.result.samples}};
}

std::string quality_text(const Evaluation& evaluation) {
  std::string text;
  const auto& target = evaluation.target;
  if (target && is_command(*target))
    text = fmt::format("eval_command {:.6g} → {:.6g} ({})", *target->reading.before,
                       target->reading.after, drop_text(target->reading));
  for (const MetricPair& pair : evaluation.result.metrics) {
    if (!text.empty()) text += " · ";
    text += std::string(metric_name(pair.metric)) + " ";
    if (pair.before) text += metric_text(pair.metric, pair.before) + " → ";
    text += metric_text(pair.metric, pair.after);
    if (pair.before && pair.metric == evaluation.metric && evaluation.drop)
      text += fmt::format(" ({:+.1f} points)", 0.0 - 100 * *evaluation.drop);
  }
  const std::vector<ValueError>& outputs = evaluation.result.outputs;
  if (!outputs.empty() && evaluation.metric != Metric::kSqnr)
    text += " · output SQNR " + decibel_text(outputs[0].sums.sqnr_db());
  else
    for (size_t i = 1; i < outputs.size() && i <= kFurtherOutputs; ++i)
      text += fmt::format(" · {} {}", escape_untrusted(outputs[i].value, 40),
                          decibel_text(outputs[i].sums.sqnr_db()));
  if (evaluation.result.samples > 0)
    text += fmt::format(" · {} samples", evaluation.result.samples);
  if (target && target->allowed) {
    text += fmt::format("\n--max-drop: {} {}", target->metric, drop_text(target->reading));
    if (is_inside(*target)) text += "; the interval still includes a miss, more --eval data decide";
  }
  if (target && !target->text.empty())
    text += "\n" + target->text.substr(0, target->text.size() - 1);
  return text;
}

void add_verification(const Report& report, nlohmann::json& manifest) {
  manifest["verified"] = !report.quality.empty();
  if (report.quality.empty()) {
    manifest["verification"] = nullptr;
    manifest["verification_reason"] = "no --eval data were given";
  } else {
    nlohmann::json rows = nlohmann::json::array();
    for (const QualityRow& row : report.quality) {
      nlohmann::json entry = {{"metric", row.metric}, {"samples", row.samples}};
      put_or_reason(entry, "before", row.before, row.reason);
      put_or_reason(entry, "after", row.after, row.reason);
      rows.push_back(std::move(entry));
    }
    manifest["verification"] = std::move(rows);
  }
}

}  // namespace lathe
