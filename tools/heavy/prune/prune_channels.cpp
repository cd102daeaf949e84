#include "heavy/prune/prune_channels.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "heavy/model_data.h"
#include "heavy/prune/latency_cost.h"
#include "heavy/prune/latency_figures.h"
#include "heavy/prune/original_channels.h"
#include "heavy/prune/prune_report.h"
#include "heavy/prune/prune_training.h"
#include "ir/error.h"
#include "os/signals.h"
#include "prune/accuracy_ratios.h"
#include "prune/budget.h"
#include "prune/channel_groups.h"
#include "prune/loss_gradients.h"
#include "prune/unit_masks.h"

namespace lathe {
namespace {


// Samples of --eval that scans and searches look at: each does so dozens of times.
constexpr size_t kScanSamples = 500;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

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
  choice.include = context.request.include;
  choice.exclude = context.request.exclude;
  choice.round_to = context.request.round_to;
  choice.round_large_only = context.request.round_large_only;
  choice.original_sizes = original_channels(context.model);
  return choice;
}

CostFunction budget_cost(const PruneContext& context) {
  const std::string& metric = context.request.budget_metric;
  const CostMetric cost = metric == "macs"     ? CostMetric::kMacs
                          : metric == "params" ? CostMetric::kParams
                                               : CostMetric::kBytes;
  return [cost](const Graph& graph) { return network_cost(graph, cost); };
}

std::vector<SensitivityRow> scan(const PruneContext& context,
                                 const std::vector<ChannelGroup>& groups, const RemovalOrder& order,
                                 const std::function<double(const Graph&)>& evaluate) {
  Console& console = context.console;
  bool started = false;
  return scan_sensitivity(context.dense(), groups, order, {0.25, 0.5, 0.75}, evaluate,
                          [&](size_t done, size_t all) {
                            if (!started)
                              console.progress().start("sensitivity", static_cast<int64_t>(all),
                                                       "candidates");
                            started = true;
                            console.progress().update(static_cast<int64_t>(done));
                            if (done == all) console.progress().finish();
                          });
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
  Graph pruned = context.dense();
  remove_channels(pruned, groups, found.plan.kept());
  section = latency_cost_json(cost, context.dense(), pruned, found);
  return found.plan;
}

PrunePlan choose(const PruneContext& context, const std::vector<ChannelGroup>& groups,
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

// The weakest channels at present, by so many of each group; what is idle already goes first.
PrunePlan weakest(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                  const Graph& graph, const CriterionData& data,
                  const std::vector<int64_t>& removed) {
  std::vector<GroupScores> scores =
      score_channels(graph, groups, context.request.criterion, data);
  put_idle_channels_first(graph, groups, scores);
  return RemovalOrder(graph, groups, scores, choice_options(context)).plan_counts(removed);
}

// Trains the dense network while its channels go; which ones is decided anew at every change.
void grow_removal(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                  const PrunePlan& plan, const CriterionData& data, PruneOutcome& outcome) {
  std::vector<int64_t> removed;
  for (const GroupPlan& group : plan.groups)
    removed.push_back(group.size - static_cast<int64_t>(group.kept.size()));
  const double final_sparsity =
      static_cast<double>(plan.removed) / static_cast<double>(plan.channels);
  const auto set = [&](TrainableGraph& graph, double sparsity) {
    std::vector<int64_t> now;
    for (const int64_t count : removed)
      now.push_back(std::llround(static_cast<double>(count) * sparsity / final_sparsity));
    const PrunePlan present = weakest(context, groups, graph.trained(), data, now);
    set_channel_masks(graph, groups, present.kept());
  };
  nlohmann::json changes;
  fine_tune_stage(context, gradual_hooks(context, final_sparsity, set, changes), outcome);
  outcome.training["sparsity"] = std::move(changes);
  const PrunePlan reached = weakest(context, groups, outcome.graph, data, removed);
  remove_channels(outcome.graph, groups, reached.kept());
  outcome.metadata = original_channels_metadata(context.model, reached);
  outcome.plan = plan_json(context.request, reached);
}

// Units that no group lets go: of recurrent nodes that are in no prunable group.
std::vector<UnitMask> unit_masks(const PruneContext& context,
                                 const std::vector<ChannelGroup>& groups) {
  const PruneRequest& request = context.request;
  if (request.structure != PruneStructure::kUnit || request.target != PruneTarget::kSparsity)
    return {};
  std::set<NodeId> others;  // whose units go, or are what the model computes
  for (const ChannelGroup& group : groups)
    for (const ChannelUse& use : group.uses)
      if ((group.blocked.empty() || is_model_output(group)) && use.role == ChannelRole::kProduces)
        others.insert(use.node);
  const Graph& graph = context.dense();
  return plan_unit_masks(graph, request.share, [&](NodeId id) {
    const Node& node = graph.node(id);
    const bool in = request.include.empty() ||
                    matches_any(request.include, node.name, node.type_name());
    return in && !matches_any(request.exclude, node.name, node.type_name()) &&
           !others.contains(id);
  });
}

// The zeros of silenced units, so that training does not wake them.
std::vector<ElementMask> silent_weights(const Graph& graph, const std::vector<UnitMask>& masks) {
  std::vector<ElementMask> silent;
  for (const UnitMask& mask : masks) {
    for (const ValueId id : graph.node(mask.node).inputs) {
      const Tensor* constant = id.valid() ? graph.constant(id) : nullptr;
      if (constant == nullptr || constant->dtype() != DType::kFloat32) continue;
      const auto values = constant->values<float>();
      ElementMask zeros{id, std::vector<uint8_t>(values.size())};
      std::transform(values.begin(), values.end(), zeros.keep.begin(),
                     [](float value) { return value != 0.0f ? 1 : 0; });
      silent.push_back(std::move(zeros));
    }
  }
  return silent;
}

nlohmann::json masks_json(const Graph& graph, const std::vector<UnitMask>& masks) {
  nlohmann::json rows = nlohmann::json::array();
  for (const UnitMask& mask : masks)
    rows.push_back({{"node", escape_untrusted(graph.node(mask.node).name)},
                    {"units", mask.units},
                    {"silenced", mask.removed}});
  return rows;
}

}  // namespace

PruneOutcome prune_channels(const PruneContext& context) {
  const auto start = std::chrono::steady_clock::now();
  const Graph& dense = context.dense();
  const std::vector<ChannelGroup> groups = find_channel_groups(dense);
  const CriterionData data = criterion_data(context, groups);
  const std::vector<GroupScores> scores =
      score_channels(dense, groups, context.request.criterion, data);
  const std::vector<UnitMask> masks = unit_masks(context, groups);
  ChoiceOptions choice = choice_options(context);
  choice.allow_nothing = !masks.empty();
  const RemovalOrder order(dense, groups, scores, choice);
  nlohmann::json latency;
  const PrunePlan plan = choose(context, groups, order, latency);

  PruneOutcome outcome;
  outcome.graph = dense;
  outcome.plan = plan_json(context.request, plan);
  if (!latency.is_null()) {
    outcome.notes.push_back("latency budget " + latency["description"].get<std::string>());
    outcome.plan["latency"] = std::move(latency);
  }
  outcome.summary = plan_summary(plan);
  outcome.plan_lines = plan_text(plan);
  outcome.table = groups_table(plan, 8);
  outcome.exceptions = plan_exceptions(plan, 4);
  outcome.removed = plan.removed;
  if (!masks.empty()) {
    outcome.plan["masked_units"] = masks_json(dense, masks);
    outcome.notes.push_back(fmt::format(
        "{} recurrent layers keep their shape: their units are silenced, which makes nothing "
        "smaller or faster",
        masks.size()));
  }
  const double planning_s = seconds_since(start);
  if (context.options.sensitivity) outcome.sensitivity = sensitivity_json(context, groups, order);
  if (context.options.common.dry_run) return outcome;
  if (plan.removed == 0 && masks.empty())
    outcome.notes.push_back("nothing was left to remove at this sparsity: the network is a copy");
  throw_if_interrupted();
  if (context.request.schedule && plan.removed > 0) {
    grow_removal(context, groups, plan, data, outcome);
    return outcome;
  }
  const auto removal = std::chrono::steady_clock::now();
  if (plan.removed > 0) remove_channels(outcome.graph, groups, plan.kept());
  outcome.removed += apply_unit_masks(outcome.graph, masks);
  outcome.metadata = original_channels_metadata(context.model, plan);
  record_stage(context, "removed", planning_s + seconds_since(removal), outcome);
  if (plan.removed > 0)
    repair_stage(context, kept_outputs(dense, groups, plan.kept()), outcome);
  FineTuneHooks hooks;
  const std::vector<ElementMask> silent = silent_weights(outcome.graph, masks);
  hooks.on_start = [&silent](TrainableGraph& graph, int64_t, int64_t) {
    for (const ElementMask& mask : silent)
      if (graph.find(mask.constant) != nullptr) set_element_masks(graph, {mask});
  };
  fine_tune_stage(context, hooks, outcome);
  return outcome;
}

}  // namespace lathe
