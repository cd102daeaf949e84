#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "commands/quantize/calibrate_form.h"
#include "commands/quantize/calibration_samples.h"
#include "commands/quantize/count_saturation.h"
#include "commands/quantize/encodings_file.h"
#include "commands/quantize/equalize.h"
#include "commands/quantize/improve_weights.h"
#include "commands/quantize/integer_rules.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/quantize_report.h"
#include "commands/quantize/stage_time.h"
#include "commands/quantize/statistics_source.h"
#include "commands/quantize/store_tables.h"
#include "ir/error.h"
#include "os/publish.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "quantize/plan/weight_params.h"
#include "stopwatch.h"

namespace lathe {
namespace {

using nlohmann::json;

// What the network's values are planned from.
struct StaticCalibration {
  Statistics statistics;
  RangeRules rules = Observer::kAuto;
  json equalization;
  json ranges;
};

json range_rows(const ChosenRanges& chosen) {
  json tried = json::array();
  for (const TriedRanges& row : chosen.tried)
    tried.push_back({{"ranges", row.name}, {"output_sqnr_db", row.output_sqnr_db}});
  return {{"chosen", chosen.name}, {"tried", tried}, {"samples", chosen.errors.samples}};
}

// Edits the job's graph where equalization pays.
StaticCalibration take_statistics(const QuantizeJob& job, const IntegerRules& rules,
                                  CalibrationSamples& samples, const std::string& given) {
  const Graph& graph = job.model.graph;
  const bool scaled = equalizes(job) && !samples.are_alike();
  Calibrated calibrated = with_ranges(
      job, rules, samples, graph,
      measure_form(job, rules, samples, graph,
                   scaled ? channels_to_equalize(graph, rules) : std::map<ValueId, int64_t>(),
                   "calibrating", throw_if_interrupted));
  StaticCalibration result;
  Equalized equalized;
  if (scaled) {
    within_time(job, "equalization", [&] { equalize(job, rules, samples, calibrated, equalized); });
    within_time(job, "ranges by outputs",
                [&] { choose_by_outputs(job, rules, samples, graph, calibrated); });
  }
  result.statistics = std::move(calibrated.statistics.all);
  note_equalization(equalized, result.statistics);
  result.statistics.source = statistics_source(job, given, graph_identity(job));
  result.rules = calibrated.chosen.rules;
  result.equalization = equalized.rows;
  result.ranges = range_rows(calibrated.chosen);
  return result;
}

StaticCalibration read_again(const QuantizeJob& job, const IntegerRules& rules,
                             const Statistics& saved) {
  StaticCalibration result;
  result.equalization = equalize_again(job, rules, saved).rows;
  check_equalized(job, saved, graph_identity(job));
  check_complete(job, saved, select_nodes(job.model.graph, rules));
  job.console.detail("statistics read from " + job.options.statistics);
  result.statistics = saved;
  result.rules = rules_of(job.model.graph, saved, *observer_from_name(job.options.observer));
  return result;
}

void save(const QuantizeJob& job, const PrecisionPlan& plan, const RangeRules& rules,
          Statistics& statistics) {
  const std::string& file = job.options.statistics;
  if (file.empty() || job.options.common.dry_run) return;
  if (job.options.observer == observer_name(Observer::kAuto))
    statistics.ranges = range_texts(job.model.graph, plan, rules);
  publish_file(file, save_statistics(statistics), false);
}

int64_t sample_count(const QuantizeJob& job, const std::optional<Statistics>& saved) {
  return saved ? std::max<int64_t>(1, saved->samples)
               : calibration_samples(job.options.samples, job.options.data);
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
  json tables = store_tables(job);
  const IntegerRules rules = integer_rules(job.profile, job.options, graph);
  const Stopwatch start;
  PrecisionPlan plan = select_nodes(graph, rules);
  check_weights(graph, plan);
  const std::optional<Statistics> saved = saved_statistics(job);
  const std::string given = graph_identity(job);
  if (saved) check_network(job, *saved, given);
  QuantizedModel result;
  result.changed = !plan.nodes.empty() || !tables.empty();
  result.details["equalization"] = json::array();
  if (!plan.nodes.empty()) {
    std::unique_ptr<CalibrationSamples> samples;
    if (!job.options.data.empty())
      samples = std::make_unique<CalibrationSamples>(job, sample_count(job, saved));
    auto parts = std::make_shared<StaticParts>();
    const StaticCalibration calibration =
        saved ? read_again(job, rules, *saved) : take_statistics(job, rules, *samples, given);
    plan = select_nodes(graph, rules);
    parts->statistics = calibration.statistics;
    plan = plan_precision(graph, rules, std::move(plan), parts->statistics, calibration.rules);
    if (!saved) save(job, plan, calibration.rules, parts->statistics);
    if (json imported = import_encodings(job, plan); !imported.is_null())
      result.details["imported_encodings"] = std::move(imported);
    if (json overridden = override_tensors(job, plan); !overridden.is_null())
      result.details["tensor_overrides"] = std::move(overridden);
    count_saturation(job, rules, plan, result);
    parts->reference = graph;
    if (!plan_only)
      result.details["rounding"] =
          improve_weights(job, rules, samples.get(), plan, parts->statistics);
    parts->rounded = graph;
    parts->plan = plan;
    parts->tables = tables;
    result.parts = std::move(parts);
    result.details["equalization"] = calibration.equalization;
    result.details["ranges"] = calibration.ranges;
  }
  result.coverage = coverage_text(graph, plan) + tables_text(tables);
  result.plan = plan_section(graph, plan);
  result.plan["weights"] = std::move(tables);
  result.exceptions = plan.exceptions;
  result.details["calibration_s"] = start.seconds();
  result.details["observer"] = job.options.observer;
  result.rows = {{"calibration", fmt::format("{:.1f} s", start.seconds())}};
  if (!plan_only) job.pipeline.run("insert_qdq", [&] { return insert_qdq(graph, plan); });
  return result;
}

}  // namespace lathe
