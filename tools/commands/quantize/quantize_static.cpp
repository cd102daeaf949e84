#include <fmt/format.h>

#include <optional>

#include "calibration/calibrate.h"
#include "commands/quantize/count_saturation.h"
#include "commands/quantize/equalize.h"
#include "commands/quantize/improve_weights.h"
#include "commands/quantize/integer_rules.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/quantize_report.h"
#include "commands/quantize/statistics_source.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "os/publish.h"
#include "passes/passes.h"
#include "quantize/plan/weight_params.h"
#include "stopwatch.h"

namespace lathe {
namespace {

Statistics take_statistics(const QuantizeJob& job, const PrecisionPlan& selection) {
  const QuantizeOptions& options = job.options;
  const Model& model = job.model;
  const DataSet data =
      job_data(job, options.data, calibration_samples(options.samples, options.data));
  return calibrate(Interpreter(model.graph), calibration_targets(model.graph, selection),
                   sample_source(data),
                   sample_run(job.threads, job.console, "calibrating", data.size()));
}

void save(const QuantizeJob& job, const Statistics& statistics) {
  const std::string& file = job.options.statistics;
  if (file.empty() || job.options.common.dry_run) return;
  publish_file(file, save_statistics(statistics), false);
}

// Before the data run: there NaN would be found far behind.
void check_weights(const Graph& graph, const PrecisionPlan& selection) {
  for (const auto& [id, role] : selection.nodes) {
    const Node& node = graph.node(id);
    if (role != QuantRole::kCompute) continue;
    for (size_t i = 1; i < node.inputs.size(); ++i)
      if (const Tensor* weight = graph.constant(node.input(i));
          weight != nullptr && weight->dtype() == DType::kFloat32)
        check_finite_weight(*weight, "node " + escape_untrusted(node.name));
  }
}

}  // namespace

QuantizedModel quantize_static(const QuantizeJob& job) {
  Graph& graph = job.model.graph;
  const bool plan_only = job.options.common.dry_run;
  const IntegerRules rules = integer_rules(job.profile, job.options, graph);
  const Stopwatch start;
  check_weights(graph, select_nodes(graph, rules));
  const std::optional<Statistics> saved = saved_statistics(job);
  const std::string given = graph_identity(job);
  if (saved) check_network(job, *saved, given);
  const Equalized equalized = saved ? equalize_again(job, *saved) : equalize(job, rules);
  PrecisionPlan plan = select_nodes(graph, rules);
  QuantizedModel result;
  result.changed = !plan.nodes.empty();
  if (result.changed) {
    auto parts = std::make_shared<StaticParts>();
    const std::string calibrated = graph_identity(job);
    if (saved) {
      check_equalized(job, *saved, calibrated);
      check_complete(job, *saved, plan);
      job.console.detail("statistics read from " + job.options.statistics);
      parts->statistics = *saved;
    } else {
      parts->statistics = take_statistics(job, plan);
      note_equalization(equalized, parts->statistics);
      parts->statistics.source = statistics_source(job, given, calibrated);
      save(job, parts->statistics);
    }
    plan = plan_precision(graph, rules, std::move(plan), parts->statistics,
                          *observer_from_name(job.options.observer));
    count_saturation(job, rules, plan, result);
    parts->reference = graph;
    if (!plan_only)
      result.details["rounding"] = improve_weights(job, rules, plan, parts->statistics);
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
