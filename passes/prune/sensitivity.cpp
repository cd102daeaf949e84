#include "prune/sensitivity.h"

namespace lathe {

std::vector<SensitivityRow> scan_sensitivity(
    const Graph& graph, const std::vector<ChannelGroup>& groups, const RemovalOrder& order,
    const std::vector<double>& sparsities, const std::function<double(const Graph&)>& evaluate,
    const std::function<void(size_t done, size_t all)>& progress) {
  const PrunePlan whole = order.plan(0);
  size_t prunable = 0;
  for (const GroupPlan& group : whole.groups) prunable += group.prunable ? 1 : 0;
  // Of each group's present channels, whatever the scope is.
  std::vector<PrunePlan> plans;
  for (const double sparsity : sparsities) {
    std::vector<int64_t> removed;
    for (const GroupPlan& group : whole.groups)
      removed.push_back(group.size - kept_count(sparsity, group.size));
    plans.push_back(order.plan_counts(removed));
  }

  std::vector<SensitivityRow> rows;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (!whole.groups[i].prunable) continue;
    for (size_t s = 0; s < sparsities.size(); ++s) {
      KeptChannels kept = whole.kept();
      kept[i] = plans[s].groups[i].kept;
      SensitivityRow row{groups[i].name, groups[i].size, sparsities[s],
                         static_cast<int32_t>(kept[i].size()), 0};
      if (s > 0 && rows.back().kept == row.kept) {
        row.value = rows.back().value;
      } else {
        Graph pruned = graph;
        if (row.kept < row.size) remove_channels(pruned, groups, kept);
        row.value = evaluate(pruned);
      }
      rows.push_back(std::move(row));
      if (progress) progress(rows.size(), prunable * sparsities.size());
    }
  }
  return rows;
}

}  // namespace lathe
