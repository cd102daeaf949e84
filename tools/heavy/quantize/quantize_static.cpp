#include <fmt/format.h>

#include <filesystem>

#include "calibration/calibrate.h"
#include "heavy/model_data.h"
#include "heavy/quantize/equalize.h"
#include "heavy/quantize/count_saturation.h"
#include "heavy/quantize/improve_weights.h"
#include "heavy/quantize/integer_rules.h"
#include "heavy/quantize/quantize_job.h"
#include "heavy/quantize/quantize_report.h"
#include "heavy/quantize/statistics_source.h"
#include "heavy/stopwatch.h"
#include "os/publish.h"
#include "os/read_file.h"
#include "passes/passes.h"

namespace lathe {
namespace {

constexpr int64_t kMaxStatisticsBytes = int64_t{1} << 30;

Statistics obtain_statistics(const QuantizeJob& job, const PrecisionPlan& selection,
                             const Equalized& equalized, StatisticsSource source) {
  const QuantizeOptions& options = job.options;
  const Model& model = job.model;
  Console& console = job.console;
  const std::string& file = options.statistics;
  source.graph = graph_identity(job);
  check_source(job, source);
  if (!file.empty() && std::filesystem::exists(file)) {
    console.detail("statistics read from " + file);
    return load_statistics(read_file(file, kMaxStatisticsBytes), file);
  }
  const int64_t samples = options.samples.value_or(options.data == "random" ? 16 : 256);
  const DataSet data = open_data_for(options.data, model, samples, options.common, console);
  const Interpreter interpreter(model.graph);
  Statistics statistics =
      calibrate(interpreter, calibration_targets(model.graph, selection), sample_source(data),
                sample_run(job.threads, console, "calibrating", data.size()));
  note_equalization(equalized, statistics);
  if (!file.empty() && !options.common.dry_run)
    publish_file(file, with_source(save_statistics(statistics), job, source), false);
  return statistics;
}

}  // namespace

QuantizedModel quantize_static(const QuantizeJob& job) {
  Graph& graph = job.model.graph;
  const bool plan_only = job.options.common.dry_run;
  const IntegerRules rules = integer_rules(job.profile, job.options, graph);
  const Stopwatch start;
  const StatisticsSource source{graph_identity(job), {}};
  check_source(job, source);
  const Equalized equalized = equalize(job, rules);
  PrecisionPlan plan = select_nodes(graph, rules);
  QuantizedModel result;
  result.changed = !plan.nodes.empty();
  if (result.changed) {
    auto parts = std::make_shared<StaticParts>();
    parts->statistics = obtain_statistics(job, plan, equalized, source);
    plan = plan_precision(graph, rules, std::move(plan), parts->statistics,
                          *observer_from_name(job.options.observer));
    count_saturation(job, rules, plan, result);
    parts->reference = graph;
    if (!plan_only)
      result.details["rounding"] = improve_weights(job, plan, parts->statistics);
    parts->rounded = graph;
    parts->plan = plan;
    result.parts = std::move(parts);
  }
  result.coverage = coverage_text(graph, plan);
  result.plan = plan_section(graph, plan);
  result.exceptions = plan.exceptions;
  result.details["calibration_s"] = start.seconds();
  result.details["observer"] = job.options.observer;
  result.details["equalization"] = equalized.rows;
  result.rows = {{"calibration", fmt::format("{:.1f} s", start.seconds())}};
  if (!plan_only) job.pipeline.run("insert_qdq", [&] { return insert_qdq(graph, plan); });
  return result;
}

}  // namespace lathe
