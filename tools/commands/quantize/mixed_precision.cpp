#include "commands/quantize/mixed_precision.h"

#include <algorithm>
#include <set>

#include "commands/quantize/layer_search.h"
#include "commands/quantize/quantize_report.h"
#include "commands/quantize/search_file.h"
#include "commands/quantize/store_tables.h"
#include "commands/quantize/target_report.h"
#include "commands/quantize/target_search.h"
#include "os/quantity.h"
#include "passes/passes.h"
#include "quantize/plan/without_nodes.h"

namespace lathe {
namespace {

// Parts of the model that leaves these nodes in float.
StaticParts narrowed(const StaticParts& parts, const std::set<NodeId>& left) {
  StaticParts fewer = parts;
  restore_float_layers(fewer.rounded, parts.reference, left);
  fewer.plan = without_nodes(parts.reference, parts.plan, left, kGivenBack);
  return fewer;
}

LayerSearch search_static(const QuantizeOptions& options,
                          const std::shared_ptr<const StaticParts>& parts) {
  LayerSearch search;
  search.reference = parts->reference;
  search.kept_in = search_file_of(options.statistics);
  search.measure = [parts](const QuantizeJob& job) {
    return measure_on_samples(job, [&](const SampleSource& source, const SensitivityOptions& how) {
      return measure_sensitivity(parts->reference, parts->rounded, parts->plan, source, how);
    });
  };
  search.rank = [parts](const LayerSensitivity& sensitivity) {
    return rank_for_float(sensitivity, parts->plan);
  };
  search.make = [parts, &options](const std::set<NodeId>& left) {
    StaticParts fewer = narrowed(*parts, left);
    insert_qdq(fewer.rounded, fewer.plan);
    finish_inserted(fewer.rounded, options);
    PartlyQuantized made;
    made.coverage = coverage_text(parts->reference, fewer.plan) + tables_text(parts->tables);
    made.plan = plan_section(parts->reference, fewer.plan);
    made.plan["weights"] = parts->tables;
    made.exceptions = std::move(fewer.plan.exceptions);
    made.graph = std::move(fewer.rounded);
    return made;
  };
  return search;
}

void take(PartlyQuantized chosen, Graph& graph, QuantizedModel& quantized) {
  graph = std::move(chosen.graph);
  quantized.plan = std::move(chosen.plan);
  quantized.coverage = std::move(chosen.coverage);
  quantized.exceptions = std::move(chosen.exceptions);
  for (const auto& [name, text] : chosen.rows)
    for (auto& row : quantized.rows)
      if (row.first == name) row.second = text;
}

}  // namespace

HeldTarget hold_max_drop(const QuantizeJob& job, const DecidingMetric& metric,
                         QuantizedModel& quantized) {
  const QuantizeOptions& options = job.options;
  const std::shared_ptr<const StaticParts> parts = quantized.parts;
  HeldTarget target;
  target.metric = metric.name;
  Graph full = job.model.graph;
  if (parts != nullptr) finish_inserted(full, options);
  target.reading = metric.read(full);
  if (options.max_drop.empty()) return target;
  target.allowed = parse_fraction(options.max_drop, "--max-drop");
  target.held = holds_target(target.reading.drop, *target.allowed);
  if (target.held || (parts == nullptr && quantized.layers == nullptr)) return target;

  const LayerSearch layers = parts != nullptr ? search_static(options, parts) : *quantized.layers;
  TargetSearch found = search_target(job, metric, layers, *target.allowed, target.reading);
  target.reading = found.reading;
  target.held = holds_target(found.reading.drop, *target.allowed);
  target.stopped_by = found.stopped_by;
  const std::set<NodeId>& left = found.search.found().left_in_float;
  take(layers.make(left), job.model.graph, quantized);
  if (parts != nullptr) quantized.parts = std::make_shared<StaticParts>(narrowed(*parts, left));
  if (found.sensitivity)
    quantized.details["sensitivity"] =
        sensitivity_section(layers.reference, *found.sensitivity, found.sensitivity_s);
  quantized.details["mixed_precision"] =
      mixed_precision_section(layers.reference, found, *target.allowed);
  target.text = mixed_precision_text(layers.reference, found, *target.allowed, options.max_drop);
  return target;
}

}  // namespace lathe
