#include "commands/quantize/weight_rows.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

using nlohmann::json;

void add_rows(const Graph& graph, const WeightStoragePlan& plan, json& rows) {
  for (const StoredWeight& weight : plan.weights) {
    json readers = json::array();
    for (const auto& [id, input] : weight.readers)
      readers.push_back(escape_untrusted(graph.node(id).name));
    json row = {{"value", escape_untrusted(graph.value(weight.value).name)},
                {"nodes", std::move(readers)},
                {"dtype", std::string(dtype_name(weight.dtype))},
                {"elements", graph.constant(weight.value)->numel()}};
    if (weight.layout.axis >= 0) row["axis"] = weight.layout.axis;
    if (weight.layout.block_size > 0) row["block_size"] = weight.layout.block_size;
    rows.push_back(std::move(row));
  }
  for (const auto& [place, body] : plan.bodies)
    add_rows(graph.node(place.first).subgraphs[place.second].graph(), body, rows);
}

}  // namespace

json weight_rows(const Graph& graph, const WeightStoragePlan& plan) {
  json rows = json::array();
  add_rows(graph, plan, rows);
  return rows;
}

json exception_rows(const std::vector<PlanException>& exceptions) {
  json rows = json::array();
  for (const PlanException& exception : exceptions)
    rows.push_back({{"node", escape_untrusted(exception.node)},
                    {"node_type", escape_untrusted(exception.node_type)},
                    {"reason", exception.reason}});
  return rows;
}

int64_t stored_nodes(const WeightStoragePlan& plan) {
  std::set<NodeId> nodes;
  for (const StoredWeight& weight : plan.weights)
    for (const auto& [id, input] : weight.readers) nodes.insert(id);
  auto count = static_cast<int64_t>(nodes.size());
  for (const auto& [place, body] : plan.bodies) count += stored_nodes(body);
  return count;
}

std::string weight_sqnr_text(const StoredNoise& noise) {
  if (noise.noise <= 0 || noise.signal <= 0) return "exact";
  return fmt::format("{:.1f} dB", 10 * std::log10(noise.signal / noise.noise));
}

}  // namespace lathe
