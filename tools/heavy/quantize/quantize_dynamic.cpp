#include <fmt/format.h>

#include <algorithm>

#include "heavy/quantize/quantize_job.h"
#include "heavy/quantize/selected_nodes.h"
#include "heavy/quantize/weight_rows.h"
#include "heavy/quantize/weights_in_bodies.h"
#include "ir/error.h"
#include "quantize/quantize_dynamically.h"
#include "quantize/store_integer_weights.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kRuntime = "onnxruntime";
constexpr int64_t kLeastOpset = 11;  // DynamicQuantizeLinear

void check_allowed(const QuantizeJob& job) {
  const Profile& profile = job.profile;
  if (profile.runtime.name != kRuntime)
    throw bad_usage("profile.no_dynamic",
                    "its runtime (" + escape_untrusted(profile.runtime.name) +
                        ") has no DynamicQuantizeLinear: ranges must be known beforehand",
                    "profile " + profile.name, "use --mode static with --data, or another --profile");
  const int64_t most = std::min(profile.runtime.max_opset,
                                job.options.opset.value_or(profile.runtime.max_opset));
  if (most < kLeastOpset)
    throw bad_usage("opset.too_old",
                    fmt::format("DynamicQuantizeLinear needs opset {}, at most {} is allowed",
                                kLeastOpset, most),
                    "--opset", "allow a newer opset, or use --mode static");
}

bool reduces_range(const Profile& profile) {
  // Sums of two products saturate in 16 bits there, and no data say where.
  if (profile.cpu.int8 == "maddubs") return true;
  for (const OpKind kind : {OpKind::kMatMul, OpKind::kGemm, OpKind::kConv})
    for (const PrecisionConfig* config : allowed_configs(profile, kind))
      if (config->weights) return config->weights->reduce_range;
  return false;
}

void add_nodes(const Graph& graph, const DynamicPlan& plan, json& rows) {
  for (const NodeId id : plan.nodes) {
    const Node& node = graph.node(id);
    rows.push_back({{"node", escape_untrusted(node.name)},
                    {"node_type", std::string(node.type_name())},
                    {"role", "dynamic"}});
  }
  for (const auto& [place, body] : plan.bodies)
    add_nodes(graph.node(place.first).subgraphs[place.second].graph(), body, rows);
}

// GRU and RNN, and LSTM where it cannot be integer.
WeightStoragePlan plan_recurrences(const Graph& graph, const NodeSelection& nodes,
                                   bool per_channel) {
  WeightStorageRules rules;
  rules.per_channel = per_channel;
  rules.kinds = {OpKind::kLSTM, OpKind::kGRU, OpKind::kRNN};
  rules.obstacle = [&nodes](const Node& node) {
    return nodes.selects(node) ? std::string() : std::string("excluded by name");
  };
  return plan_weight_storage(graph, rules);
}

void except_stored(const Graph& graph, const WeightStoragePlan& stored,
                   std::vector<PlanException>& exceptions) {
  for (const StoredWeight& weight : stored.weights)
    for (const auto& [id, input] : weight.readers) {
      const Node& node = graph.node(id);
      const std::string type(node.type_name());
      if (input == 1)
        exceptions.push_back(
            {node.name, type, "the runtime has no integer " + type + " like it: only its weights are int8"});
    }
  for (const auto& [place, body] : stored.bodies)
    except_stored(graph.node(place.first).subgraphs[place.second].graph(), body, exceptions);
}

}  // namespace

QuantizedModel quantize_dynamic(const QuantizeJob& job) {
  check_allowed(job);
  Graph& graph = job.model.graph;
  const NodeSelection nodes = selected_nodes(job.options, graph);
  DynamicRules rules;
  rules.per_channel = job.options.weight_granularity != "tensor";
  rules.reduce_range = reduces_range(job.profile);
  rules.obstacle = [&nodes](const Node& node) {
    return nodes.selects(node) ? std::string() : std::string("excluded by name");
  };
  rules.convolution = [&nodes](const Node& node) {
    return !nodes.include.empty() && nodes.selects(node);
  };
  bring_weights_into_bodies(
      job, [&](const Graph& trial) { return plan_dynamic(trial, rules).count(); });
  const DynamicPlan plan = plan_dynamic(graph, rules);
  Graph after = graph;
  quantize_dynamically(after, plan);
  const WeightStoragePlan stored = plan_recurrences(after, nodes, rules.per_channel);

  QuantizedModel result;
  result.changed = !plan.empty() || !stored.empty();
  result.kind = "dynamic int8";
  result.exceptions = plan.exceptions;
  std::erase_if(result.exceptions, [](const PlanException& e) { return e.node_type == "LSTM"; });
  const auto total = plan.count() + static_cast<int64_t>(plan.exceptions.size());
  result.exceptions.insert(result.exceptions.end(), stored.exceptions.begin(),
                           stored.exceptions.end());
  except_stored(after, stored, result.exceptions);
  result.coverage = fmt::format("{} of {} nodes in dynamic int8", plan.count(), total);
  if (const int64_t count = stored_nodes(stored); count > 0)
    result.coverage += fmt::format(", {} with int8 weights", count);
  json rows = json::array();
  add_nodes(graph, plan, rows);
  result.plan = {{"nodes", std::move(rows)},
                 {"weights", weight_rows(after, stored)},
                 {"exceptions", exception_rows(result.exceptions)}};
  result.details = {{"mode", "dynamic"}};
  if (job.options.common.dry_run) return result;
  job.pipeline.run("quantize_dynamically", [&] { return quantize_dynamically(graph, plan); });
  StoredNoise noise;
  job.pipeline.run("store_integer_weights",
                   [&] { return store_integer_weights(graph, stored, noise); });
  return result;
}

}  // namespace lathe
