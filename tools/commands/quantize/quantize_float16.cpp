#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <set>

#include "commands/quantize/layer_search.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/selected_nodes.h"
#include "commands/quantize/weight_rows.h"
#include "float16/convert_float16.h"
#include "graph/graph_passes.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "quantize/plan/weight_params.h"
#include "stopwatch.h"
#include "verify/search_float16.h"

namespace lathe {
namespace {

using nlohmann::json;

// Of max|a - b| / max|a|: what float16 may cost on data.
constexpr double kTolerance = 5e-3;

KeptNodes excluded_nodes(const Graph& graph, const NodeSelection& nodes) {
  KeptNodes kept;
  for (const NodeId id : graph.node_ids())
    if (!nodes.selects(graph.node(id))) kept.emplace(id, "excluded by name");
  return kept;
}

Float16Plan measured_plan(const QuantizeJob& job, const KeptNodes& excluded) {
  const DataSet data =
      job_data(job, job.options.data, job.options.samples.value_or(kFloat16Samples));
  const auto run = [&](const std::string& label, size_t count) {
    return sample_run(job.threads, job.console, label, count);
  };
  return search_float16(job.model.graph, sample_source(data), true, {kTolerance, std::nullopt}, run,
                        excluded)
      .plan;
}

// Counts nodes that compute in float32, and tells of those that stay.
void look_into(const Graph& graph, const Float16Plan& plan, int64_t& work,
               std::vector<PlanException>& kept) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (size_t s = 0; s < node.subgraphs.size(); ++s)
      if (const auto body = plan.bodies.find({id, s}); body != plan.bodies.end())
        look_into(node.subgraphs[s].graph(), body->second, work, kept);
    if (!node.subgraphs.empty() || !has_float32_work(graph, node)) continue;
    ++work;
    if (const auto it = plan.kept.find(id); it != plan.kept.end())
      kept.push_back({node.name, std::string(node.type_name()), it->second});
  }
}

// NaN on both sides would compare as equal.
void check_weights(const Graph& graph) {
  for_each_graph(graph, [](const Graph& part) {
    for (const NodeId id : part.node_ids()) {
      const Node& node = part.node(id);
      const bool weighted = node.kind == OpKind::kConv || node.kind == OpKind::kConvTranspose ||
                            node.kind == OpKind::kGemm || node.kind == OpKind::kMatMul;
      const Tensor* weight = weighted ? part.constant(node.input(1)) : nullptr;
      if (weight != nullptr && weight->dtype() == DType::kFloat32)
        check_finite_weight(*weight, "node " + escape_untrusted(node.name));
    }
  });
}

json section(const Float16Plan& plan, const std::vector<PlanException>& exceptions) {
  return {{"converted_nodes", plan.converted},
          {"rounded_weights", plan.weights},
          {"subnormal_weights", plan.subnormal},
          {"zeroed_weights", plan.zeroed},
          {"exceptions", exception_rows(exceptions)}};
}

std::string coverage_of(const Float16Plan& plan, int64_t work) {
  return fmt::format("{} of {} nodes in float16", plan.converted, work);
}

// Converted nodes, and those with bodies that hold some.
std::set<NodeId> converted_nodes(const Graph& graph, const Float16Plan& plan) {
  std::set<NodeId> nodes;
  for (const NodeId id : graph.node_ids())
    if (is_converted(graph, plan, id)) nodes.insert(id);
  for (const auto& [place, body] : plan.bodies)
    if (body.converted > 0) nodes.insert(place.first);
  return nodes;
}

int apply(Graph& graph, const Float16Plan& plan) {
  return convert_float16(graph, plan) + eliminate_redundant_casts(graph);
}

// Every float input of `reader` becomes what a float16 value is.
void round_inputs(Graph& graph, NodeId reader) {
  const auto cast = [&](ValueId value, DType type) {
    Attributes attributes;
    attributes.set("to", static_cast<int64_t>(type));
    const ValueId result =
        graph.add_op(OpKind::kCast, {value}, graph.fresh_name("rounded"), attributes);
    graph.edit_type(result) = tensor_type(type, graph.value(value).type.dims);
    return result;
  };
  for (size_t i = 0; i < graph.node(reader).inputs.size(); ++i) {
    const ValueId input = graph.node(reader).inputs[i];
    if (!input.valid() || graph.constant(input) != nullptr ||
        stays_float32(graph.node(reader), i) || graph.value(input).type.dtype != DType::kFloat32 ||
        !graph.value(input).type.is_tensor())
      continue;
    graph.replace_input(reader, i, cast(cast(input, DType::kFloat16), DType::kFloat32));
  }
}

// The one node with what the plan does in it.
void convert_alone(const Float16Plan& plan, NodeAlone& alone) {
  Float16Plan one;
  one.converted = 1;
  const NodeId inside = alone.graph.node_ids().back();  // behind the Identities before it
  for (const NodeId id : alone.graph.node_ids())
    if (id != inside) one.kept.emplace(id, "only passes on");
  for (size_t s = 0; s < alone.graph.node(inside).subgraphs.size(); ++s)
    if (const auto body = plan.bodies.find({alone.node, s}); body != plan.bodies.end())
      one.bodies.emplace(std::pair(inside, s), body->second);
  // Between float16 nodes its inputs are rounded anyway: that is no error of its own.
  if (alone.graph.node(inside).subgraphs.empty()) {
    alone.against = alone.graph;
    round_inputs(*alone.against, inside);
  }
  convert_float16(alone.graph, one);
}

// What --max-drop may leave in float32.
LayerSearch search_layers(const Graph& graph, const Float16Plan& plan, bool measured,
                          int64_t work) {
  LayerSearch search = search_alone(graph, converted_nodes(graph, plan),
                                    [plan](NodeAlone& alone) { convert_alone(plan, alone); });
  search.rank = [graph, rank = search.rank](const LayerSensitivity& sensitivity) {
    std::vector<NodeId> ranking = rank(sensitivity);
    // Without a product beside it, nothing else is left in float16 either.
    const auto holds = [&](NodeId id) {
      return op_row(graph.node(id).kind).macs != nullptr || !graph.node(id).subgraphs.empty();
    };
    while (!ranking.empty() && !holds(ranking.back())) ranking.pop_back();
    return ranking;
  };
  search.make = [graph, plan, measured, work](const std::set<NodeId>& left) {
    KeptNodes kept = plan.kept;
    for (const NodeId id : left) kept.insert_or_assign(id, kGivenBack);
    Float16Plan fewer = plan_float16(graph, kept, measured);
    PartlyQuantized made;
    for (const NodeId id : left)
      for (size_t s = 0; s < graph.node(id).subgraphs.size(); ++s) {
        const auto body = fewer.bodies.find({id, s});
        if (body == fewer.bodies.end()) continue;
        fewer.converted -= body->second.converted;
        fewer.weights -= body->second.weights;
        fewer.subnormal -= body->second.subnormal;
        fewer.zeroed -= body->second.zeroed;
        fewer.bodies.erase(body);
        if (s == 0)
          made.exceptions.push_back(
              {graph.node(id).name, std::string(graph.node(id).type_name()), kGivenBack});
      }
    int64_t ignored = 0;
    look_into(graph, fewer, ignored, made.exceptions);
    made.coverage = coverage_of(fewer, work);
    made.plan = section(fewer, made.exceptions);
    made.graph = graph;
    apply(made.graph, fewer);
    drop_leftovers(made.graph);
    return made;
  };
  return search;
}

}  // namespace

QuantizedModel quantize_float16(const QuantizeJob& job) {
  Graph& graph = job.model.graph;
  const Profile& profile = job.profile;
  const KeptNodes excluded = excluded_nodes(graph, selected_nodes(job.options, graph));
  if (!profile.precision.float16)
    job.console.warn("profile.float16",
                     "profile " + profile.name +
                         " does not compute in float16: the file gets smaller, not faster");
  check_weights(graph);
  const Stopwatch start;
  const bool measured = !job.options.data.empty();
  const Float16Plan plan = measured ? measured_plan(job, excluded) : plan_float16(graph, excluded);
  QuantizedModel result;
  int64_t work = 0;
  look_into(graph, plan, work, result.exceptions);
  result.changed = plan.converted > 0;
  result.kind = "float16";
  result.coverage = coverage_of(plan, work);
  result.plan = section(plan, result.exceptions);
  result.details = {{"mode", "float16"}, {"ranges", measured ? "measured" : "by rule"}};
  if (measured) result.rows = {{"ranges", fmt::format("{:.1f} s", start.seconds())}};
  if (job.options.common.dry_run || !result.changed) return result;
  result.layers = std::make_shared<LayerSearch>(search_layers(graph, plan, measured, work));
  job.pipeline.run("convert_float16", [&] { return convert_float16(graph, plan); });
  job.pipeline.run("eliminate_redundant_casts", [&] { return eliminate_redundant_casts(graph); });
  return result;
}

}  // namespace lathe
