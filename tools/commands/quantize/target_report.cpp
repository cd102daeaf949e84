#include "commands/quantize/target_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "heavy/error_rows.h"
#include "ir/listed.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kNamed = 6;
constexpr size_t kWorst = 5;

double noise_db(double noise) { return noise > 0 ? -10 * std::log10(noise) : INFINITY; }

std::string noise_text(double noise) { return noise > 0 ? decibel_text(noise_db(noise)) : "exact"; }

json decibel_json(double noise) {
  return noise > 0 && std::isfinite(noise) ? json(noise_db(noise)) : json(nullptr);
}

// Weights apart from values: measured with a plan.
bool is_apart(const LayerSensitivity& sensitivity) { return !sensitivity.values.empty(); }

double share_of(const NodeNoise& row, const LayerSensitivity& sensitivity) {
  return sensitivity.noise > 0 ? row.part / sensitivity.noise : 0.0;
}

std::string node_text(const Graph& graph, NodeId id) {
  return fmt::format("{} ({})", escape_untrusted(graph.node(id).name, 60),
                     graph.node(id).type_name());
}

std::string nodes_text(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string> names;
  for (const NodeId id : nodes) names.push_back(node_text(graph, id));
  return listed(names, kNamed);
}

bool has_bodies(const Graph& graph, const std::vector<NodeId>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(),
                     [&](NodeId id) { return !graph.node(id).subgraphs.empty(); });
}

// The layers that cost most, with what it is in them.
std::string worst_text(const Graph& graph, const LayerSensitivity& sensitivity) {
  std::string text;
  for (size_t i = 0; i < sensitivity.nodes.size() && i < kWorst; ++i) {
    const NodeNoise& row = sensitivity.nodes[i];
    const std::string alone = is_apart(sensitivity)
                                  ? fmt::format("weights {}, activations {}",
                                                noise_text(row.weight), noise_text(row.values))
                                  : noise_text(row.alone());
    text += fmt::format("  {}: {:.0f} % of the error; alone {}\n", node_text(graph, row.node),
                        100 * share_of(row, sensitivity), alone);
  }
  return text;
}

}  // namespace

json mixed_precision_section(const Graph& graph, const TargetSearch& found, double allowed) {
  json names = json::array();
  for (const NodeId id : found.left_in_float())
    names.push_back(escape_untrusted(graph.node(id).name));
  json rows = json::array();
  for (const JudgedNodes& row : found.search.judged)
    rows.push_back({{"left_in_float", row.left_in_float.size()}, {"drop", row.drop}});
  return {{"allowed", allowed},
          {"held", holds_target(found.reading.drop, allowed)},
          {"finished", found.search.finished},
          {"candidates", found.ranking.size()},
          {"left_in_float", std::move(names)},
          {"evaluations", std::move(rows)},
          {"evaluations_reused", found.reused}};
}

std::string mixed_precision_text(const Graph& graph, const TargetSearch& found, double allowed,
                                 const std::string& asked) {
  const std::vector<NodeId> left = found.left_in_float();
  std::string lines = fmt::format("mixed precision: {} of {} layers in float after {} evaluations",
                                  left.size(), found.ranking.size(), found.search.judged.size());
  if (!left.empty()) lines += ": " + nodes_text(graph, left);
  lines += "\n";
  if (holds_target(found.reading.drop, allowed)) return lines;
  if (found.sensitivity && found.ranking.size() < 2)
    lines += has_bodies(graph, found.ranking)
                 ? "its layers lie inside If, Loop or Scan, which go back as a whole: --exclude "
                   "leaves some of them in float\n"
                 : "a single layer is quantized: without it nothing would be left\n";
  if (found.search.finished)
    lines += fmt::format(
        "--max-drop {} is out of reach: {} of {} layers in float still {}\n"
        "the error came from\n",
        asked, left.size(), found.ranking.size(), drop_text(found.reading));
  if (found.sensitivity) lines += worst_text(graph, *found.sensitivity);
  return lines;
}

json sensitivity_section(const Graph& graph, const LayerSensitivity& sensitivity, double seconds) {
  json nodes = json::array();
  for (const NodeNoise& row : sensitivity.nodes) {
    json entry = {{"node", escape_untrusted(graph.node(row.node).name)},
                  {"node_type", std::string(graph.node(row.node).type_name())},
                  {"part", share_of(row, sensitivity)},
                  {"sqnr_db", decibel_json(row.alone())},
                  {"estimate", std::string(noise_estimate_name(row.estimate))}};
    if (is_apart(sensitivity)) {
      entry["weight_sqnr_db"] = decibel_json(row.weight);
      entry["values_sqnr_db"] = decibel_json(row.values);
    }
    nodes.push_back(std::move(entry));
  }
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
