#include "commands/prune/choose_channels.h"

#include <nlohmann/json.hpp>

#include <cmath>

#include "commands/prune/latency_cost.h"
#include "commands/prune/latency_figures.h"
#include "heavy/model_data.h"
#include "heavy/step_progress.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "os/signals.h"
#include "prune/accuracy_ratios.h"
#include "prune/budget.h"
#include "prune/loss_gradients.h"
#include "prune/original_channels.h"

namespace lathe {
namespace {

// Samples of --eval that scans and searches look at: each does so dozens of times.
constexpr size_t kScanSamples = 500;

// Channels of Conv nodes that have no bias yet.
int64_t missing_biases(const Graph& graph) {
  int64_t count = 0;
  for (const NodeId id : graph.node_ids()) {
    const Node& node = graph.node(id);
    const Tensor* weight = node.kind == OpKind::kConv ? graph.constant(node.input(1)) : nullptr;
    if (weight != nullptr && !node.input(2).valid()) count += weight->shape()[0];
  }
  return count;
}

CostFunction budget_cost(const PruneContext& context) {
  const std::string& metric = context.request.budget_metric;
  const CostMetric cost = metric == "macs"     ? CostMetric::kMacs
                          : metric == "params" ? CostMetric::kParams
                                               : CostMetric::kBytes;
  if (cost == CostMetric::kMacs && count_macs(context.dense()).unknown_nodes > 0)
    throw bad_usage("prune.unknown_macs",
                    "the model's multiply-accumulates are not known: sizes of its inputs are free",
                    "--budget", "fix them with --input-shape NAME=1x3x224x224, or use params=");
  if (cost == CostMetric::kMacs || !repairs(context))
    return [cost](const Graph& graph) { return network_cost(graph, cost); };
  // What the biases that repair adds will cost.
  const double dense = network_cost(context.dense(), cost);
  const double unit = cost == CostMetric::kBytes ? 4 : 1;
  return [cost, dense, unit](const Graph& graph) {
    const double plain = network_cost(graph, cost);
    return plain == dense ? plain : plain + unit * static_cast<double>(missing_biases(graph));
  };
}

std::vector<SensitivityRow> scan(const PruneContext& context,
                                 const std::vector<ChannelGroup>& groups, const RemovalOrder& order,
                                 const std::function<double(const Graph&)>& evaluate) {
  return scan_sensitivity(context.dense(), groups, order, {0.25, 0.5, 0.75}, evaluate,
                          step_progress(context.console, "sensitivity", "candidates"));
}

PrunePlan search_drop(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                      const RemovalOrder& order) {
  const auto dropped = [&](const Graph& graph) {
    return context.metrics->drop(graph, kScanSamples);
  };
  const std::vector<SensitivityRow> rows = scan(context, groups, order, dropped);
  Progress& progress = context.console.progress();
  progress.start("searching ratios", 9, "candidates");
  int64_t done = 0;
  const RatioSearch found =
      search_ratios(order, rows, *context.request.max_drop, [&](const PrunePlan& plan) {
        Graph candidate = context.dense();
        remove_channels(candidate, groups, plan.kept());
        repair_candidate(context, kept_outputs(context.dense(), groups, plan.kept()), candidate);
        progress.update(++done);
        // The whole of the data: what is promised is measured on it.
        return context.metrics->drop(candidate, 0);
      });
  progress.finish();
  return found.plan;
}

PrunePlan choose_by_latency(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                            const RemovalOrder& order, nlohmann::json& section) {
  const std::vector<Tensor> sample =
      latency_sample(context.data, context.model, context.options.common, context.console);
  const LatencyCost cost = latency_cost(context.dense(), sample, context.profile, context.threads,
                                        context.options.common.seed, context.console);
  const MeasuredPlan found =
      plan_latency(context.dense(), groups, order, cost, context.request.share, context.console);
  if (!cost.simulated && !found.confirmed_share)
    context.console.warn("prune.latency_unconfirmed",
                         "whole runs of the pruned network were too few to confirm its latency",
                         "the sum over its layers meets the budget; try again on a quiet machine");
  Graph pruned = context.dense();
  remove_channels(pruned, groups, found.plan.kept());
  section = latency_cost_json(cost, context.dense(), pruned, found);
  return found.plan;
}

}  // namespace

CriterionData criterion_data(const PruneContext& context, const std::vector<ChannelGroup>& groups) {
  CriterionData data;
  data.seed = context.options.common.seed;
  if (context.request.criterion == ChannelCriterion::kActivation)
    data.activations = measure_activations(
        Interpreter(context.dense()), groups, sample_source(*context.data),
        sample_run(context.threads, context.console, "activations", context.data->size()));
  if (context.request.criterion == ChannelCriterion::kTaylor) {
    GradientOptions options;
    options.check = throw_if_interrupted;
    const DataSet& set = *context.data;
    data.gradients = loss_gradients(
        context.dense(), sample_source(set),
        set.has_labels() ? std::function<Tensor(size_t)>([&set](size_t i) { return set.label(i); })
                         : std::function<Tensor(size_t)>(),
        options);
  }
  return data;
}

ChoiceOptions choice_options(const PruneContext& context) {
  ChoiceOptions choice;
  choice.scope = context.request.scope;
  choice.kind = context.request.structure == PruneStructure::kUnit ? GroupKind::kHiddenUnits
                                                                   : GroupKind::kChannels;
  choice.include = context.request.nodes.include;
  choice.exclude = context.request.nodes.exclude;
  choice.round_to = context.request.round_to;
  choice.round_large_only = context.request.round_large_only;
  choice.original_sizes = original_channels(context.model);
  return choice;
}

PrunePlan choose_channels(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                          const RemovalOrder& order, nlohmann::json& latency) {
  switch (context.request.target) {
    case PruneTarget::kBudget:
      if (context.request.budget_metric == "latency")
        return choose_by_latency(context, groups, order, latency);
      return plan_budget(context.dense(), groups, order, budget_cost(context),
                         context.request.share, context.request.budget_metric);
    case PruneTarget::kMaxDrop: return search_drop(context, groups, order);
    case PruneTarget::kSparsity: break;
  }
  return order.plan_sparsity(context.request.share);
}

nlohmann::json sensitivity_json(const PruneContext& context,
                                const std::vector<ChannelGroup>& groups,
                                const RemovalOrder& order) {
  StageMetrics& metrics = *context.metrics;
  const auto value = [&](const Graph& graph) {
    return metrics.measure_quietly(graph, kScanSamples).value.value_or(NAN);
  };
  nlohmann::json rows = nlohmann::json::array();
  for (const SensitivityRow& row : scan(context, groups, order, value)) {
    nlohmann::json entry = {{"group", escape_untrusted(row.group)},
                            {"size", row.size},
                            {"sparsity", row.sparsity},
                            {"kept", row.kept}};
    put_or_reason(entry, "value",
                  std::isfinite(row.value) ? std::optional<double>(row.value) : std::nullopt,
                  "the network's output is not finite");
    rows.push_back(std::move(entry));
  }
  const StageFigure dense = metrics.measure_quietly(context.dense(), kScanSamples);
  nlohmann::json section = {{"metric", std::string(metric_name(metrics.metric()))},
                            {"samples", dense.samples},
                            {"rows", std::move(rows)}};
  put_or_reason(section, "dense", dense.value, "this metric compares with the dense network");
  return section;
}

}  // namespace lathe
