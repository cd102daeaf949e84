#include "commands/compile/transform_graph.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "batch/make_batch_dynamic.h"
#include "float16/convert_float16.h"
#include "graph/optimize_graph.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "verify/search_float16.h"

namespace lathe {
namespace {

using nlohmann::json;

json batch_json(const Graph& graph, const BatchPlan& plan) {
  const auto axes = [&](const std::vector<BatchAxis>& found) {
    json rows = json::array();
    for (const BatchAxis& axis : found)
      rows.push_back(
          {{"name", escape_untrusted(graph.value(axis.value).name)}, {"axis", axis.axis}});
    return rows;
  };
  json edits = json::array();
  for (const BatchEdit& edit : plan.edits)
    edits.push_back(
        {{"node", escape_untrusted(graph.node(edit.node).name)}, {"change", edit.what}});
  return {{"was", plan.batch},
          {"symbol", escape_untrusted(plan.symbol)},
          {"inputs", axes(plan.inputs)},
          {"outputs", axes(plan.outputs)},
          {"edits", std::move(edits)}};
}

void add_kept(const Graph& graph, const Float16Plan& plan, json& rows) {
  for (const auto& [id, reason] : plan.kept)
    rows.push_back({{"node", escape_untrusted(graph.node(id).name)},
                    {"node_type", escape_untrusted(graph.node(id).type_name())},
                    {"reason", reason}});
  for (const auto& [place, body] : plan.bodies)
    add_kept(graph.node(place.first).subgraphs[place.second].graph(), body, rows);
}

json float16_json(const Graph& graph, const Float16Plan& plan,
                  const std::optional<Float16Search>& search) {
  json kept = json::array();
  add_kept(graph, plan, kept);
  json section = {{"converted_nodes", plan.converted},
                  {"rounded_weights", plan.weights},
                  {"subnormal_weights", plan.subnormal},
                  {"zeroed_weights", plan.zeroed},
                  {"clamped_weights", 0},
                  {"kept", std::move(kept)}};
  // Of the bound, in amplitude; a number beyond all bounds has no JSON form.
  const auto share = [](double strain) -> json {
    return std::isfinite(strain) ? json(std::sqrt(strain)) : json("not finite");
  };
  if (search)
    section["search"] = {{"rounds", search->rounds},
                         {"bound_used_by_rules", share(search->strain_before)},
                         {"bound_used", share(search->strain_after)}};
  return section;
}

}  // namespace

TransformFacts transform_graph(Graph& graph, const CompileOptions& options,
                               const VerificationInputs* inputs, int threads, Console& console,
                               Pipeline& pipeline) {
  TransformFacts facts;
  if (options.dynamic_batch) {
    // Before the optimization, which at a batch of one takes a Transpose of it for a Reshape; after
    // it only where branches or computed shapes have to be resolved first.
    BatchPlan plan = plan_dynamic_batch(graph);
    if (!plan.refusal.empty()) {
      optimize_graph(graph, pipeline);
      if (BatchPlan second = plan_dynamic_batch(graph); second.refusal.empty())
        plan = std::move(second);
    }
    const BatchPositions positions = batch_positions(graph, plan);
    const json section = batch_json(graph, plan);
    pipeline.run("make_batch_dynamic", [&] {
      const int changes = make_batch_dynamic(graph, plan);
      facts.batch = positions;
      facts.sections["dynamic_batch"] = section;
      return changes;
    });
  }
  optimize_graph(graph, pipeline);
  // After the batch: its shape arithmetic is no matter of precision.
  if (options.float16) {
    std::optional<Float16Search> search;
    if (inputs != nullptr)
      search = search_float16(graph, inputs->source, inputs->data != nullptr,
                              verification_bound(options, graph, true),
                              [&](const std::string& label, size_t count) {
                                return sample_run(threads, console, label, count);
                              });
    const Float16Plan plan = search ? search->plan : plan_float16(graph);
    const json section = float16_json(graph, plan, search);
    pipeline.run("convert_float16", [&] {
      facts.sections["float16"] = section;
      return convert_float16(graph, plan);
    });
    optimize_graph(graph, pipeline);
  }
  return facts;
}

}  // namespace lathe
