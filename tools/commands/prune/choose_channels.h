// Which channels go: criteria, sparsity, budgets, and searches for a drop.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "commands/prune/prune_run.h"
#include "prune/channel_groups.h"
#include "prune/channel_scores.h"
#include "prune/prune_plan.h"

namespace lathe {

/// What --criterion needs besides the weights. Throws Error (exit 2) for taylor without labels.
CriterionData criterion_data(const PruneContext& context, const std::vector<ChannelGroup>& groups);

ChoiceOptions choice_options(const PruneContext& context);

/// The plan for --sparsity, --budget or --max-drop. `latency`: what a latency budget was measured
/// or simulated with. Throws Error (exit 4) when the budget or the drop cannot be reached.
PrunePlan choose_channels(const PruneContext& context, const std::vector<ChannelGroup>& groups,
                          const RemovalOrder& order, nlohmann::json& latency);

/// The report's section: each group pruned by itself, on the first samples of --eval.
nlohmann::json sensitivity_json(const PruneContext& context,
                                const std::vector<ChannelGroup>& groups, const RemovalOrder& order);

}  // namespace lathe
