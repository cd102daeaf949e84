#include <fmt/format.h>

#include <memory>

#include "compile/compile_passes.h"
#include "compile/convert_float16.h"
#include "heavy/model_data.h"
#include "heavy/quantize/quantize_job.h"
#include "heavy/quantize/selected_nodes.h"
#include "heavy/quantize/weight_rows.h"
#include "heavy/search_float16.h"
#include "heavy/stopwatch.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "quantize/weight_params.h"

namespace lathe {
namespace {

// Of max|a - b| / max|a|: what float16 may cost on data.
constexpr double kTolerance = 5e-3;
constexpr int64_t kSamples = 16;

KeptNodes excluded_nodes(const Graph& graph, const NodeSelection& nodes) {
  KeptNodes kept;
  for (const NodeId id : graph.node_ids())
    if (!nodes.selects(graph.node(id))) kept.emplace(id, "excluded by name");
  return kept;
}

Float16Plan measured_plan(const QuantizeJob& job, const KeptNodes& excluded) {
  VerificationInputs inputs;
  inputs.data = std::make_shared<const DataSet>(
      open_data_for(job.options.data, job.model, job.options.samples.value_or(kSamples),
                    job.options.common, job.console));
  inputs.source = sample_source(*inputs.data);
  const VerificationBound bound{kTolerance, std::nullopt};
  return search_float16(job.model.graph, inputs, bound, job.threads, job.console, excluded).plan;
}

struct Counts {
  int64_t work = 0;  // nodes that compute in float32
};

void look_into(const Graph& graph, const Float16Plan& plan, Counts& counts,
               std::vector<PlanException>& kept) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (size_t s = 0; s < node.subgraphs.size(); ++s)
      if (const auto body = plan.bodies.find({id, s}); body != plan.bodies.end())
        look_into(node.subgraphs[s].graph(), body->second, counts, kept);
    if (!node.subgraphs.empty() || !has_float32_work(graph, node)) continue;
    ++counts.work;
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
  const Float16Plan plan =
      measured ? measured_plan(job, excluded) : plan_float16(graph, excluded);
  QuantizedModel result;
  Counts counts;
  look_into(graph, plan, counts, result.exceptions);
  result.changed = plan.converted > 0;
  result.kind = "float16";
  result.coverage = fmt::format("{} of {} nodes in float16", plan.converted, counts.work);
  result.plan = {{"converted_nodes", plan.converted},
                 {"rounded_weights", plan.weights},
                 {"subnormal_weights", plan.subnormal},
                 {"zeroed_weights", plan.zeroed},
                 {"exceptions", exception_rows(result.exceptions)}};
  result.details = {{"mode", "float16"}, {"ranges", measured ? "measured" : "by rule"}};
  if (measured) result.rows = {{"ranges", fmt::format("{:.1f} s", start.seconds())}};
  if (job.options.common.dry_run || !result.changed) return result;
  job.pipeline.run("convert_float16", [&] { return convert_float16(graph, plan); });
  job.pipeline.run("eliminate_redundant_casts", [&] { return eliminate_redundant_casts(graph); });
  return result;
}

}  // namespace lathe
