#include "commands/quantize/diagnosis.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/quantize/deciding_metric.h"
#include "commands/quantize/fix_hint.h"
#include "commands/quantize/integer_rules.h"
#include "heavy/error_rows.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "os/host.h"
#include "quantize/diagnose/diagnose_layers.h"
#include "quantize/diagnose/value_figures.h"
#include "quantize/diagnose/value_response.h"
#include "quantize/plan/plan_saturation.h"
#include "quantize/sensitivity/sensitivity_samples.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kGatheredRows = 2;
constexpr size_t kBars = 64;
constexpr size_t kScreenRows = 5;
constexpr size_t kFewGradients = 2;     // of --effort fast, where
constexpr size_t kOfLargeNetworks = 4;  // samples are looked at

void put_db(json& row, const std::string& name, double db) {
  put_finite(row, name, db, db > 0 ? "nothing is lost" : "the float value is all zero");
}

json layer_rows(const std::vector<LayerError>& errors) {
  json rows = json::array();
  for (const LayerError& error : errors) {
    json row = {{"node", escape_untrusted(error.name)},
                {"node_type", error.type},
                {"value", escape_untrusted(error.output)}};
    put_db(row, "sqnr_db", error.network_db());
    put_db(row, "local_sqnr_db", error.local_db());
    put_db(row, "weight_sqnr_db", error.weight_db());
    put_db(row, "input_sqnr_db", error.input_db());
    put_db(row, "output_sqnr_db", error.own_output_db());
    rows.push_back(std::move(row));
  }
  return rows;
}

json diagnosis_rows(const std::vector<Diagnosis>& found) {
  json rows = json::array();
  for (const Diagnosis& diagnosis : found) {
    json row = {{"node", escape_untrusted(diagnosis.name)},
                {"node_type", diagnosis.type},
                {"cause", std::string(cause_name(diagnosis.cause))},
                {"text", diagnosis.text},
                {"flag", diagnosis.flag}};
    put_db(row, "sqnr_db", diagnosis.sqnr_db);
    put_db(row, "local_sqnr_db", diagnosis.local_sqnr_db);
    if (diagnosis.share > 0) row["share"] = diagnosis.share;
    if (!diagnosis.culprit.empty()) row["culprit"] = escape_untrusted(diagnosis.culprit);
    rows.push_back(std::move(row));
  }
  return rows;
}

// The histogram between its extremes in at most kBars equal bars.
json histogram_json(const Histogram& histogram) {
  const auto& bins = histogram.bins();
  int first = 0;
  int last = static_cast<int>(bins.size()) - 1;
  while (first < last && bins[static_cast<size_t>(first)] == 0) ++first;
  while (last > first && bins[static_cast<size_t>(last)] == 0) --last;
  const auto used = static_cast<size_t>(last - first + 1);
  const size_t merged = (used + kBars - 1) / kBars;
  std::vector<int64_t> counts((used + merged - 1) / merged, 0);
  for (size_t i = 0; i < used; ++i) counts[i / merged] += bins[static_cast<size_t>(first) + i];
  return {{"from", histogram.bin_start(first)},
          {"width", histogram.bin_width() * static_cast<double>(merged)},
          {"counts", counts}};
}

json value_rows(const StaticParts& parts) {
  json rows = json::array();
  const Graph& graph = parts.reference;
  for (const auto& [id, params] : parts.plan.values) {
    const auto found = parts.statistics.values.find(graph.value(id).name);
    if (found == parts.statistics.values.end() || params.scales.empty() ||
        found->second.count() == 0)
      continue;
    const Histogram& histogram = found->second;
    const Response response = response_behind(graph, id);
    const ValueFigures figures = value_figures(histogram, params, response);
    const IntegerGrid grid = grid_of(params);
    const NodeId producer = graph.value(id).producer;
    json row = {{"value", escape_untrusted(graph.value(id).name)},
                {"node_type", producer.valid() ? escape_untrusted(graph.node(producer).type_name())
                                               : std::string("input")},
                {"min", (grid.qmin - params.zero_points[0]) * figures.step},
                {"max", (grid.qmax - params.zero_points[0]) * figures.step},
                {"seen_min", histogram.min()},
                {"seen_max", histogram.max()},
                {"step", figures.step},
                {"clipped_share", figures.clipped_share},
                {"behind_reader", static_cast<bool>(response)},
                {"histogram", histogram_json(histogram)}};
    put_db(row, "sqnr_db", figures.sqnr_db());
    if (const auto it = parts.plan.ranges.find(id); it != parts.plan.ranges.end())
      row["observer"] = std::string(observer_name(it->second.observer));
    rows.push_back(std::move(row));
  }
  return rows;
}

bool scales_channels(const Profile& profile) {
  for (const OpKind kind : {OpKind::kConv, OpKind::kMatMul, OpKind::kGemm})
    for (const PrecisionConfig* config : allowed_configs(profile, kind))
      if (config->weights && config->weights->per_channel) return true;
  return false;
}

DiagnosisRequest request_of(const QuantizeJob& job) {
  DiagnosisRequest request;
  request.observer = job.options.observer;
  // More effort makes nothing better with random data.
  request.effort = job.options.data == "random" ? "best" : job.options.effort;
  // Nor is there a scale a channel where the device has none.
  request.weight_granularity =
      scales_channels(job.profile) ? job.options.weight_granularity : "channel";
  request.weight_bits = job.options.weight_bits;
  request.profile = job.profile.name;
  request.profile_guards_saturation = job.profile.cpu.int8 == "maddubs";
  return request;
}

// The file will saturate where it was made, when this processor has not what the profile promises.
void count_here(const QuantizeJob& job, const StaticParts& parts, const SampleSource& source,
                const SampleRunOptions& run, DiagnosisRequest& request) {
  if (request.profile_guards_saturation || host_has_int8(host_facts(), job.profile.cpu.int8))
    return;
  if (job.profile.cpu.arch != "x86_64") return;
  const IntegerRules rules = integer_rules(job.profile, job.options, parts.reference);
  std::vector<LayerSaturation> layers = bound_saturation(parts.reference, rules, parts.plan);
  if (layers.empty()) return;
  count_pairs_of_layers(parts.reference, rules, parts.plan, source, run, layers);
  for (const LayerSaturation& layer : layers)
    if (layer.counted) request.saturating_share[layer.node] = layer.count.share();
}

// Without it a layer that is good by itself looks out of place in the list.
std::string share_text(const Diagnosis& diagnosis) {
  return diagnosis.share > 0 ? fmt::format(", {:.0f} % of the noise", 100 * diagnosis.share) : "";
}

void add_screen_rows(const std::vector<Diagnosis>& found, QuantizedModel& result) {
  size_t shown = 0;
  size_t gathered = 0;
  for (const Diagnosis& diagnosis : found) {
    if (diagnosis.cause == LossCause::kGathered && ++gathered > kGatheredRows) break;
    if (++shown > kScreenRows) break;
    result.rows.emplace_back(
        shown == 1 ? "worst layers" : "",
        fmt::format("{:>7}  {}: {}{}",
                    decibel_text(std::min(diagnosis.sqnr_db, diagnosis.local_sqnr_db)),
                    escape_untrusted(diagnosis.name, 40), cause_name(diagnosis.cause),
                    share_text(diagnosis)));
  }
}

void add_hints(const std::vector<Diagnosis>& found, const DiagnosisRequest& request,
               const QuantizeJob& job, QuantizedModel& result) {
  const bool has_classes = has_class_output(job.model.graph);
  const std::string hint = fix_hint(found, request, job.options, has_classes);
  result.details["hint"] = hint;
  if (hint.empty()) return;
  result.rows.emplace_back("to fix it", "add " + hint);
  const std::string target = target_hint(job.options, has_classes);
  if (!target.empty() && hint != target && hint.find("--exclude") != std::string::npos)
    result.rows.emplace_back("", "or " + target + ": it finds the layers to leave in float");
}

}  // namespace

void diagnose_quantized(const QuantizeJob& job, QuantizedModel& result) {
  if (result.parts == nullptr) return;
  const StaticParts& parts = *result.parts;
  const QuantizeOptions& options = job.options;
  result.details["values"] = value_rows(parts);
  if (options.data.empty()) return;
  const DataSet data =
      job_data(job, options.data, static_cast<int64_t>(sensitivity_samples(parts.reference)));
  const SampleSource source = sample_source(data);
  const SampleRunOptions run =
      sample_run(job.threads, job.console, "looking at layers", data.size());
  const std::vector<LayerError> errors =
      local_errors(parts.reference, job.model.graph, source, run);
  DiagnosisRequest request = request_of(job);
  count_here(job, parts, source, run, request);
  const int side_by_side = std::min(job.threads, gradient_runs(parts.reference));
  if (any_bad(errors) && side_by_side > 0) {
    SampleSource few = source;
    // Small networks show more samples in no time.
    if (options.effort == "fast" && few.count <= kOfLargeNetworks)
      few.count = std::min(few.count, kFewGradients);
    SensitivityOptions sensitivity;
    sensitivity.run = sample_run(side_by_side, job.console, "looking for the cause", few.count);
    sensitivity.seed = options.common.seed;
    request.sensitivity =
        measure_sensitivity(parts.reference, parts.rounded, parts.plan, few, sensitivity);
  }
  const std::vector<Diagnosis> found =
      diagnose_layers(parts.reference, parts.plan, parts.statistics, errors, request);
  result.details["layers"] = layer_rows(errors);
  result.details["diagnosis"] = diagnosis_rows(found);
  add_screen_rows(found, result);
  add_hints(found, request, job, result);
}

}  // namespace lathe
