#include "commands/quantize/store_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "commands/quantize/quantize_usage.h"
#include "commands/quantize/selected_nodes.h"
#include "commands/quantize/weight_rows.h"
#include "ops/op_row.h"
#include "quantize/apply/store_integer_weights.h"

namespace lathe {
namespace {

constexpr int64_t kLeastOpset = 13;  // DequantizeLinear with an axis

bool expands_columns(const QuantizeJob& job) {
  const RuntimeProfile& runtime = job.profile.runtime;
  return runtime.name == kOnnxRuntimeName &&
         std::min(runtime.max_opset, job.options.opset.value_or(runtime.max_opset)) >= kLeastOpset;
}

}  // namespace

nlohmann::json store_tables(const QuantizeJob& job) {
  Graph& graph = job.model.graph;
  nlohmann::json rows = nlohmann::json::array();
  if (!expands_columns(job)) return rows;
  const NodeSelection nodes = selected_nodes(job.options, graph);
  WeightStorageRules rules;
  rules.per_channel = job.options.weight_granularity != "tensor";
  rules.kinds = {OpKind::kGather};
  rules.obstacle = [&nodes](const Node& node) {
    return nodes.selects(node) ? std::string() : std::string("excluded by name");
  };
  const WeightStoragePlan plan = plan_weight_storage(graph, rules);
  if (plan.empty()) return rows;
  rows = weight_rows(graph, plan);
  StoredNoise noise;
  job.pipeline.run("store_integer_weights",
                   [&] { return store_integer_weights(graph, plan, noise); });
  infer_shapes(graph);
  return rows;
}

std::string tables_text(const nlohmann::json& tables) {
  if (tables.empty()) return {};
  return fmt::format(", {} table{} int8", tables.size(), tables.size() == 1 ? "" : "s");
}

}  // namespace lathe
