#include "commands/prune/stage_metrics.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "heavy/error_rows.h"
#include "heavy/model_data.h"
#include "os/signals.h"
#include "run/compare.h"

namespace lathe {

StageMetrics::StageMetrics(const Graph& dense, DataSet data, Metric metric, int threads,
                           Console& console, std::string name)
    : dense_(dense),
      data_(std::move(data)),
      metric_(metric),
      threads_(threads),
      console_(console),
      name_(std::move(name)) {}

StageFigure StageMetrics::compare(const Graph& graph, size_t limit, const SampleRunOptions& run) {
  CompareOptions options;
  options.run = run;
  options.layers = false;
  options.metrics = {metric_};
  options.labels = label_source(data_);
  SampleSource source = sample_source(data_);
  if (limit > 0) source.count = std::min(source.count, limit);
  const CompareResult result = compare_graphs(dense_, Interpreter(graph), source, options);
  const MetricPair& pair = result.metrics[0];
  const double before = pair.before.value_or(metric_ == Metric::kAgreement ? 1.0 : 0.0);
  if (limit == 0) before_ = before;
  StageFigure figure;
  if (pair.after && std::isfinite(*pair.after)) figure.value = pair.after;
  if (figure.value && metric_ != Metric::kSqnr)
    figure.drop = metric_drop(metric_, before, *figure.value);
  if (!result.outputs.empty() && std::isfinite(result.outputs[0].sums.sqnr_db()))
    figure.sqnr_db = result.outputs[0].sums.sqnr_db();
  figure.samples = static_cast<int64_t>(result.samples);
  return figure;
}

StageFigure StageMetrics::dense() const {
  StageFigure figure;
  figure.stage = name_;
  if (metric_ != Metric::kSqnr) {
    figure.value = before_;
    figure.drop = 0;
  }
  figure.samples = static_cast<int64_t>(data_.size());
  return figure;
}

StageFigure StageMetrics::measure(const Graph& graph, const std::string& stage) {
  StageFigure figure =
      compare(graph, 0, sample_run(threads_, console_, "evaluating " + stage, data_.size()));
  figure.stage = stage;
  return figure;
}

StageFigure StageMetrics::measure_quietly(const Graph& graph, size_t limit) {
  SampleRunOptions run;
  run.threads = threads_;
  run.check = throw_if_interrupted;
  return compare(graph, limit, run);
}

double StageMetrics::drop(const Graph& graph, size_t limit) {
  return measure_quietly(graph, limit).drop.value_or(INFINITY);
}

void add_stage(StageMetrics& metrics, const Graph& graph, const std::string& stage, double seconds,
               std::vector<StageFigure>& stages) {
  StageFigure figure = metrics.measure(graph, stage);
  figure.seconds = seconds;
  if (stages.empty()) stages.push_back(metrics.dense());
  stages.push_back(std::move(figure));
}

void report_stages(Metric metric, const std::vector<StageFigure>& stages, const StageFigure& result,
                   const std::string& against, Report& report) {
  report.details["stages"] = stages_json(metric, stages);
  report.quality.push_back({std::string(metric_name(metric)), stages.front().value, result.value,
                            result.drop, result.samples, "compares with " + against});
}

void add_stages(const Report& report, nlohmann::json& manifest) {
  manifest["verified"] = !report.quality.empty() && report.quality[0].after.has_value();
  manifest["verification"] = report.details.value("stages", nlohmann::json());
  if (report.quality.empty()) manifest["verification_reason"] = "no --eval data were given";
}

nlohmann::json stages_json(Metric metric, const std::vector<StageFigure>& stages) {
  nlohmann::json rows = nlohmann::json::array();
  for (const StageFigure& stage : stages) {
    nlohmann::json row = {{"stage", stage.stage},
                          {"metric", std::string(metric_name(metric))},
                          {"samples", stage.samples},
                          {"seconds", stage.seconds}};
    put_or_reason(row, "value", stage.value, "the network's output is not finite");
    put_or_reason(row, "drop", stage.drop, "this metric has no value to fall from");
    put_or_reason(row, "output_sqnr_db", stage.sqnr_db,
                  "the output is the first stage's, or not finite");
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::vector<std::string>> stages_table(Metric metric,
                                                   const std::vector<StageFigure>& stages) {
  std::vector<std::vector<std::string>> rows{
      {"stage", std::string(metric_name(metric)), "drop", "output SQNR", "took"}};
  const bool points = metric != Metric::kMse && metric != Metric::kMae;
  for (const StageFigure& stage : stages) {
    const bool first = &stage == &stages.front();
    std::string drop = "-";
    if (stage.drop && !first)
      drop = points ? fmt::format("{:.1f} points", 100 * *stage.drop)
                    : fmt::format("{:.3g}", *stage.drop);
    rows.push_back({stage.stage, metric_text(metric, stage.value), drop,
                    stage.sqnr_db ? decibel_text(*stage.sqnr_db) : "-",
                    first ? "-" : fmt::format("{:.1f} s", stage.seconds)});
  }
  return rows;
}

}  // namespace lathe
