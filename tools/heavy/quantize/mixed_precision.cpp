#include "heavy/quantize/mixed_precision.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "heavy/error_rows.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/quantize/quantize_report.h"
#include "heavy/quantize/search_file.h"
#include "heavy/stopwatch.h"
#include "os/quantity.h"
#include "os/sha256.h"
#include "os/signals.h"
#include "quantize/mixed_precision.h"
#include "quantize/without_nodes.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kSensitivitySamples = 32;
// Time to write the best model after an interrupt; lathe ends by force when it is over.
constexpr unsigned kWritingSeconds = 60;
constexpr unsigned kUsualGraceSeconds = 2;
// 1 - 0.985 is a drop of 1.5 points, in spite of its last digits.
constexpr double kRounding = 1e-9;
constexpr const char* kReason = "given back to float for --max-drop";

class WritingGrace {
 public:
  WritingGrace() { set_interrupt_grace(kWritingSeconds); }
  // After a signal the time is needed until the model is written.
  ~WritingGrace() {
    if (!interrupted()) set_interrupt_grace(kUsualGraceSeconds);
  }
  WritingGrace(const WritingGrace&) = delete;
  WritingGrace& operator=(const WritingGrace&) = delete;
};

double noise_db(double noise) { return noise > 0 ? -10 * std::log10(noise) : INFINITY; }

std::string noise_text(double noise) { return noise > 0 ? decibel_text(noise_db(noise)) : "exact"; }

json decibel_json(double noise) {
  return noise > 0 && std::isfinite(noise) ? json(noise_db(noise)) : json(nullptr);
}

struct Candidate {
  Graph graph;
  PrecisionPlan plan;
};

Candidate make_candidate(const StaticParts& parts, const std::set<NodeId>& left_in_float,
                         const QuantizeOptions& options) {
  Candidate candidate{parts.rounded,
                      without_nodes(parts.reference, parts.plan, left_in_float, kReason)};
  restore_float_layers(candidate.graph, parts.reference, left_in_float);
  insert_qdq(candidate.graph, candidate.plan);
  finish_inserted(candidate.graph, options);
  return candidate;
}

LayerSensitivity sensitivity_of(const QuantizeJob& job, const StaticParts& parts) {
  const QuantizeOptions& options = job.options;
  const std::string& source = !options.data.empty() ? options.data
                              : !options.eval.empty() ? options.eval
                                                      : std::string("random");
  const DataSet data =
      open_data_for(source, job.model, kSensitivitySamples, options.common, job.console);
  SensitivityOptions how;
  how.run = sample_run(job.threads, job.console, "measuring each layer's part", data.size());
  how.seed = options.common.seed;
  return measure_sensitivity(parts.reference, parts.rounded, parts.plan, sample_source(data), how);
}

std::string key_of(const QuantizeJob& job, const DecidingMetric& metric, const Graph& full) {
  Model model = job.model;
  model.graph = full;
  const WrittenModel written =
      write_model_for(model, job.profile, job.options.opset, job.options.common.output);
  Sha256 hash;
  hash.update(written.model_bytes);
  for (const ExternalPiece& piece : written.external) hash.update(piece.tensor.bytes());
  hash.update(metric.key);
  return hash.hex();
}

std::string node_text(const Graph& graph, NodeId id) {
  return fmt::format("{} ({})", escape_untrusted(graph.node(id).name, 60),
                     graph.node(id).type_name());
}

std::string nodes_text(const Graph& graph, const std::vector<NodeId>& nodes, size_t count) {
  std::string text;
  for (size_t i = 0; i < nodes.size() && i < count; ++i)
    text += (i == 0 ? "" : ", ") + node_text(graph, nodes[i]);
  if (nodes.size() > count) text += fmt::format(" and {} more", nodes.size() - count);
  return text;
}

// The layers that cost most, with what it is in them.
std::string worst_text(const Graph& graph, const LayerSensitivity& sensitivity, size_t count) {
  std::string text;
  for (size_t i = 0; i < sensitivity.nodes.size() && i < count; ++i) {
    const NodeNoise& row = sensitivity.nodes[i];
    text += fmt::format("  {}: {:.0f} % of the error; alone weights {}, activations {}\n",
                        node_text(graph, row.node),
                        sensitivity.noise > 0 ? 100 * row.part / sensitivity.noise : 0.0,
                        noise_text(row.weight), noise_text(row.values));
  }
  return text;
}

class TargetSearch {
 public:
  TargetSearch(const QuantizeJob& job, const DecidingMetric& metric, const StaticParts& parts,
               double allowed)
      : job_(job),
        metric_(metric),
        parts_(parts),
        file_(search_file_of(job.options.statistics)),
        options_{.allowed = allowed + kRounding} {}

  /// `full`: the reading of the network with all layers quantized.
  void run(const MetricReading& full) {
    const WritingGrace grace;
    readings_[{}] = full;
    search_.judged = {{{}, full.drop}};
    try {
      const Stopwatch start;
      sensitivity_ = sensitivity_of(job_, parts_);
      sensitivity_seconds_ = start.seconds();
      ranking_ = rank_for_float(*sensitivity_, parts_.plan);
      key_ = key_of(job_, metric_, candidate({}).graph);
      for (JudgedNodes& row : load_search(file_, key_, parts_.reference))
        if (!row.left_in_float.empty()) search_.judged.push_back(std::move(row));
      reused_ = search_.judged.size() - 1;
      find_mixed_precision(
          ranking_, [this](const std::set<NodeId>& left) { return judge(left); }, options_,
          search_);
      best_reading();
    } catch (const Error& error) {
      const bool signal =
          error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kTerminated;
      if (!signal && !judging_) throw;
      stopped_by_ = error;
    }
  }

  void finish(HeldTarget& target, QuantizedModel& quantized) {
    const JudgedNodes& best = search_.found();
    if (const auto it = readings_.find(best.left_in_float); it != readings_.end())
      target.reading = it->second;
    target.reading.drop = best.drop;
    target.held = best.drop <= options_.allowed;
    target.stopped_by = stopped_by_;
    Candidate chosen = candidate(best.left_in_float);
    job_.model.graph = std::move(chosen.graph);
    quantized.plan = plan_section(parts_.reference, chosen.plan);
    quantized.coverage = coverage_text(parts_.reference, chosen.plan);
    quantized.exceptions = chosen.plan.exceptions;
    auto narrowed = std::make_shared<StaticParts>(parts_);
    restore_float_layers(narrowed->rounded, parts_.reference, best.left_in_float);
    narrowed->plan = std::move(chosen.plan);
    quantized.parts = std::move(narrowed);
    if (sensitivity_)
      quantized.details["sensitivity"] =
          sensitivity_section(parts_.reference, *sensitivity_, sensitivity_seconds_);
    quantized.details["mixed_precision"] = section(target);
    target.text = text(target);
  }

 private:
  Candidate candidate(const std::set<NodeId>& left) const {
    return make_candidate(parts_, left, job_.options);
  }

  double judge(const std::set<NodeId>& left) {
    throw_if_interrupted();
    judging_ = true;
    const MetricReading reading = metric_.read(candidate(left).graph);
    judging_ = false;
    readings_[left] = reading;
    std::vector<JudgedNodes> known = search_.judged;
    known.push_back({left, reading.drop});
    save_search(file_, key_, parts_.reference, known);
    job_.console.detail(fmt::format("{} of {} layers in float: {} {}", left.size(),
                                    ranking_.size(), metric_.name, drop_text(reading)));
    return reading.drop;
  }

  // A best that was taken from the file has only its drop.
  void best_reading() {
    const std::set<NodeId>& left = search_.found().left_in_float;
    if (!readings_.contains(left))
      readings_[left] = metric_.read(candidate(left).graph);
  }

  std::vector<NodeId> left_by_rank() const {
    std::vector<NodeId> found;
    for (const NodeId id : ranking_)
      if (search_.found().left_in_float.contains(id)) found.push_back(id);
    return found;
  }

  json section(const HeldTarget& target) const {
    json names = json::array();
    for (const NodeId id : left_by_rank())
      names.push_back(escape_untrusted(parts_.reference.node(id).name));
    json rows = json::array();
    for (const JudgedNodes& row : search_.judged)
      rows.push_back({{"left_in_float", row.left_in_float.size()}, {"drop", row.drop}});
    return {{"allowed", target.allowed.value_or(0)},
            {"held", target.held},
            {"finished", search_.finished},
            {"candidates", ranking_.size()},
            {"left_in_float", std::move(names)},
            {"evaluations", std::move(rows)},
            {"evaluations_reused", reused_}};
  }

  std::string text(const HeldTarget& target) const {
    const Graph& graph = parts_.reference;
    const std::vector<NodeId> left = left_by_rank();
    std::string lines =
        fmt::format("mixed precision: {} of {} layers in float after {} evaluations", left.size(),
                    ranking_.size(), search_.judged.size());
    if (!left.empty()) lines += ": " + nodes_text(graph, left, 6);
    lines += "\n";
    if (!target.held && search_.finished)
      lines += fmt::format(
          "--max-drop {} is out of reach: {} of {} layers in float still {}\n"
          "the error came from\n",
          job_.options.max_drop, left.size(), ranking_.size(), drop_text(target.reading));
    if (!target.held && sensitivity_) lines += worst_text(graph, *sensitivity_, 5);
    return lines;
  }

  const QuantizeJob& job_;
  const DecidingMetric& metric_;
  const StaticParts& parts_;
  std::string file_;
  MixedPrecisionOptions options_;
  MixedPrecision search_;
  std::map<std::set<NodeId>, MetricReading> readings_;
  std::vector<NodeId> ranking_;
  std::optional<LayerSensitivity> sensitivity_;
  double sensitivity_seconds_ = 0;
  std::string key_;
  size_t reused_ = 0;
  bool judging_ = false;  // an error of the metric costs no results
  std::optional<Error> stopped_by_;
};

}  // namespace

HeldTarget hold_max_drop(const QuantizeJob& job, const DecidingMetric& metric,
                         QuantizedModel& quantized) {
  HeldTarget target;
  target.metric = metric.name;
  Graph full = job.model.graph;
  if (quantized.parts != nullptr) finish_inserted(full, job.options);
  target.reading = metric.read(full);
  if (job.options.max_drop.empty()) return target;
  target.allowed = parse_fraction(job.options.max_drop, "--max-drop");
  target.held = target.reading.drop <= *target.allowed + kRounding;
  if (target.held || quantized.parts == nullptr) return target;
  const std::shared_ptr<const StaticParts> parts = quantized.parts;  // outlives the search
  TargetSearch search(job, metric, *parts, *target.allowed);
  search.run(target.reading);
  search.finish(target, quantized);
  return target;
}

json sensitivity_section(const Graph& graph, const LayerSensitivity& sensitivity, double seconds) {
  json nodes = json::array();
  for (const NodeNoise& row : sensitivity.nodes)
    nodes.push_back({{"node", escape_untrusted(graph.node(row.node).name)},
                     {"node_type", std::string(graph.node(row.node).type_name())},
                     {"part", sensitivity.noise > 0 ? row.part / sensitivity.noise : 0.0},
                     {"weight_sqnr_db", decibel_json(row.weight)},
                     {"values_sqnr_db", decibel_json(row.values)},
                     {"sqnr_db", decibel_json(row.alone())},
                     {"estimate", std::string(noise_estimate_name(row.estimate))}});
  json values = json::array();
  for (const ValueNoise& row : sensitivity.values)
    values.push_back({{"value", escape_untrusted(graph.value(row.value).name)},
                      {"sqnr_db", decibel_json(row.noise)},
                      {"estimate", std::string(noise_estimate_name(row.estimate))}});
  return {{"samples", sensitivity.samples},
          {"probes", sensitivity.probes},
          {"seconds", seconds},
          {"sqnr_db", decibel_json(sensitivity.noise)},
          {"nodes", std::move(nodes)},
          {"values", std::move(values)}};
}

}  // namespace lathe
