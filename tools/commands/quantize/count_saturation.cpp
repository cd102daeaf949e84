#include "commands/quantize/count_saturation.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "heavy/model_data.h"
#include "ir/error.h"
#include "quantize/plan/plan_saturation.h"

namespace lathe {
namespace {

constexpr size_t kMaxSamples = 32;

// Spread over the set, in order; carried state needs the first ones.
SampleSource few_samples(const DataSet& data) {
  SampleSource source = sample_source(data);
  const size_t all = source.count;
  if (all <= kMaxSamples) return source;
  source.count = kMaxSamples;
  if (!source.carry.empty()) return source;
  source.sample = [inner = source.sample, all](size_t i) { return inner(i * all / kMaxSamples); };
  return source;
}

nlohmann::json saturation_rows(const Graph& graph, const std::vector<LayerSaturation>& layers) {
  nlohmann::json rows = nlohmann::json::array();
  for (const LayerSaturation& layer : layers) {
    nlohmann::json row = {
        {"node", escape_untrusted(graph.node(layer.node).name)},
        {"node_type", std::string(graph.node(layer.node).type_name())},
        {"possible", layer.bound.possible()},
        {"bound", layer.bound.largest},
        {"channels", layer.bound.rows},
        {"reduce_range", layer.widened_scales > 0},
        {"widened_scales", layer.widened_scales},
        {"largest_factor", *std::max_element(layer.widened.begin(), layer.widened.end())},
        {"reason", layer.reason}};
    if (layer.counted) {
      row["pairs"] = layer.count.pairs;
      row["saturating"] = layer.count.saturating;
      row["near"] = layer.count.near;
      row["share"] = layer.count.share();
      row["lost"] = layer.lost();
      row["rounding"] = layer.rounding_error();
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

void count_saturation(const QuantizeJob& job, const IntegerRules& rules, PrecisionPlan& plan,
                      QuantizedModel& result) {
  if (!rules.pair_sums_saturate) return;
  const Graph& graph = job.model.graph;
  std::vector<LayerSaturation> layers = bound_saturation(graph, rules, plan);
  if (!layers.empty() && !job.options.data.empty()) {
    const DataSet data =
        job_data(job, job.options.data, calibration_samples(job.options.samples, job.options.data));
    const SampleSource source = few_samples(data);
    count_pairs_of_layers(graph, rules, plan, source,
                          sample_run(job.threads, job.console, "counting saturation", source.count),
                          layers);
  }
  decide_saturation(layers);
  apply_saturation(graph, rules, layers, plan);
  result.details["saturation"] = saturation_rows(graph, layers);
}

}  // namespace lathe
