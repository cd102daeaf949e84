#include "commands/prune/prune_channels.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "commands/prune/choose_channels.h"
#include "commands/prune/prune_report.h"
#include "commands/prune/prune_training.h"
#include "commands/prune/silence_units.h"
#include "os/signals.h"
#include "prune/original_channels.h"
#include "stopwatch.h"

namespace lathe {
namespace {

// The weakest channels at present, by so many of each group; what is idle already goes first.
PrunePlan weakest(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                  const Graph& graph, const CriterionData& data,
                  const std::vector<int64_t>& removed) {
  std::vector<GroupScores> scores = score_channels(graph, groups, context.request.criterion, data);
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
  outcome.plan["groups"] = plan_json(context.request, reached)["groups"];
}

}  // namespace

PruneOutcome prune_channels(const PruneContext& context) {
  const Stopwatch start;
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
  const PrunePlan plan = choose_channels(context, groups, order, latency);

  PruneOutcome outcome;
  outcome.graph = dense;
  outcome.plan = plan_json(context.request, plan);
  if (!latency.is_null()) {
    outcome.notes.emplace_back("latency budget " + latency["description"].get<std::string>());
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
  const double planning_s = start.seconds();
  if (context.options.sensitivity) outcome.sensitivity = sensitivity_json(context, groups, order);
  if (context.options.common.dry_run) return outcome;
  if (plan.removed == 0 && masks.empty())
    outcome.notes.emplace_back(
        "nothing was left to remove at this sparsity: the network is only simplified");
  throw_if_interrupted();
  if (context.request.schedule && plan.removed > 0) {
    grow_removal(context, groups, plan, data, outcome);
    return outcome;
  }
  const Stopwatch removal;
  if (plan.removed > 0) remove_channels(outcome.graph, groups, plan.kept());
  outcome.removed += apply_unit_masks(outcome.graph, masks);
  outcome.metadata = original_channels_metadata(context.model, plan);
  record_stage(context, "removed", planning_s + removal.seconds(), outcome);
  if (plan.removed > 0) repair_stage(context, kept_outputs(dense, groups, plan.kept()), outcome);
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
