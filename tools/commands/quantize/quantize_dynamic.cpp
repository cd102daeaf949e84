#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/quantize/layer_search.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/quantize_usage.h"
#include "commands/quantize/selected_nodes.h"
#include "commands/quantize/weight_rows.h"
#include "commands/quantize/weights_in_bodies.h"
#include "ir/error.h"
#include "quantize/apply/quantize_dynamically.h"
#include "quantize/apply/store_integer_weights.h"
#include "quantize/plan/without_nodes.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kLeastOpset = 11;  // DynamicQuantizeLinear

void check_allowed(const QuantizeJob& job) {
  const Profile& profile = job.profile;
  if (profile.runtime.name != kOnnxRuntimeName)
    throw bad_usage("profile.no_dynamic",
                    "its runtime (" + escape_untrusted(profile.runtime.name) +
                        ") has no DynamicQuantizeLinear: ranges must be known beforehand",
                    "profile " + profile.name,
                    "use --mode static with --data, or another --profile");
  const int64_t most =
      std::min(profile.runtime.max_opset, job.options.opset.value_or(profile.runtime.max_opset));
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

// GRU and RNN, LSTM where it cannot be integer, and embedding tables.
WeightStoragePlan plan_stored(const Graph& graph, const NodeSelection& nodes,
                                   bool per_channel) {
  WeightStorageRules rules;
  rules.per_channel = per_channel;
  rules.kinds = {OpKind::kLSTM, OpKind::kGRU, OpKind::kRNN, OpKind::kGather};
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
            {node.name, type,
             "the runtime has no integer " + type + " like it: only its weights are int8"});
    }
  for (const auto& [place, body] : stored.bodies)
    except_stored(graph.node(place.first).subgraphs[place.second].graph(), body, exceptions);
}

DynamicRules rules_of(const QuantizeJob& job, const NodeSelection& nodes) {
  DynamicRules rules;
  rules.per_channel = job.options.weight_granularity != "tensor";
  rules.reduce_range = reduces_range(job.profile);
  rules.obstacle = [nodes](const Node& node) {
    return nodes.selects(node) ? std::string() : std::string("excluded by name");
  };
  rules.convolution = [nodes](const Node& node) {
    return !nodes.include.empty() && nodes.selects(node);
  };
  return rules;
}

// Integer products; of recurrences at least the weights; tables.
struct DynamicModel {
  Graph reference;
  DynamicPlan products;
  Graph before_storing;      // the reference with products in integers
  WeightStoragePlan stored;  // of before_storing
};

DynamicModel plan_model(const Graph& graph, const NodeSelection& nodes, const DynamicRules& rules) {
  DynamicModel model{graph, plan_dynamic(graph, rules), graph, {}};
  quantize_dynamically(model.before_storing, model.products);
  model.stored = plan_stored(model.before_storing, nodes, rules.per_channel);
  return model;
}

// Without the nodes that are left in float; products keep their ids where they are replaced.
DynamicModel without(const DynamicModel& model, const std::set<NodeId>& left) {
  DynamicModel fewer{model.reference,
                     without_nodes(model.reference, model.products, left, kGivenBack),
                     model.reference,
                     {}};
  quantize_dynamically(fewer.before_storing, fewer.products);
  fewer.stored = without_nodes(fewer.before_storing, model.stored, left, kGivenBack);
  return fewer;
}

void finish(const DynamicModel& model, Graph& graph) {
  StoredNoise noise;
  store_integer_weights(graph, model.stored, noise);
}

std::vector<PlanException> exceptions_of(const DynamicModel& model) {
  std::vector<PlanException> exceptions = model.products.exceptions;
  // The stored weights' plan tells of them.
  std::erase_if(exceptions, [](const PlanException& e) {
    return e.node_type == "LSTM" && e.reason != kGivenBack;
  });
  for (const PlanException& one : model.stored.exceptions) {
    // A node with bodies may be in both plans.
    const bool told = std::any_of(exceptions.begin(), exceptions.end(), [&](const auto& e) {
      return one.reason == kGivenBack && e.reason == kGivenBack && e.node == one.node;
    });
    if (!told) exceptions.push_back(one);
  }
  except_stored(model.before_storing, model.stored, exceptions);
  return exceptions;
}

std::string coverage_of(const DynamicModel& model, int64_t total) {
  std::string text = fmt::format("{} of {} nodes in dynamic int8", model.products.count(), total);
  if (const int64_t count = stored_nodes(model.stored); count > 0)
    text += fmt::format(", {} with int8 weights", count);
  return text;
}

json section(const DynamicModel& model, const std::vector<PlanException>& exceptions) {
  json rows = json::array();
  add_nodes(model.reference, model.products, rows);
  return {{"nodes", std::move(rows)},
          {"weights", weight_rows(model.before_storing, model.stored)},
          {"exceptions", exception_rows(exceptions)}};
}

// What --max-drop may leave in float.
LayerSearch search_dynamic(const DynamicModel& model, const NodeSelection& nodes,
                           const DynamicRules& rules, int64_t total) {
  std::set<NodeId> candidates = planned_nodes(model.products);
  candidates.merge(planned_nodes(model.stored));
  LayerSearch search =
      search_alone(model.reference, std::move(candidates), [nodes, rules](NodeAlone& alone) {
        DynamicModel one = plan_model(alone.graph, nodes, rules);
        finish(one, one.before_storing);
        alone.graph = std::move(one.before_storing);
      });
  search.make = [model, total](const std::set<NodeId>& left) {
    DynamicModel fewer = without(model, left);
    PartlyQuantized made;
    made.exceptions = exceptions_of(fewer);
    made.coverage = coverage_of(fewer, total);
    made.plan = section(fewer, made.exceptions);
    made.graph = fewer.before_storing;
    finish(fewer, made.graph);
    drop_leftovers(made.graph);
    return made;
  };
  return search;
}

}  // namespace

QuantizedModel quantize_dynamic(const QuantizeJob& job) {
  check_allowed(job);
  Graph& graph = job.model.graph;
  const NodeSelection nodes = selected_nodes(job.options, graph);
  const DynamicRules rules = rules_of(job, nodes);
  bring_weights_into_bodies(job,
                            [&](const Graph& trial) { return plan_dynamic(trial, rules).count(); });
  const DynamicModel model = plan_model(graph, nodes, rules);
  const auto total =
      model.products.count() + static_cast<int64_t>(model.products.exceptions.size());

  QuantizedModel result;
  result.changed = !model.products.empty() || !model.stored.empty();
  result.kind = "dynamic int8";
  result.exceptions = exceptions_of(model);
  result.coverage = coverage_of(model, total);
  result.plan = section(model, result.exceptions);
  result.details = {{"mode", "dynamic"}};
  if (job.options.common.dry_run || !result.changed) return result;
  result.layers = std::make_shared<LayerSearch>(search_dynamic(model, nodes, rules, total));
  job.pipeline.run("quantize_dynamically",
                   [&] { return quantize_dynamically(graph, model.products); });
  StoredNoise noise;
  job.pipeline.run("store_integer_weights",
                   [&] { return store_integer_weights(graph, model.stored, noise); });
  return result;
}

}  // namespace lathe
