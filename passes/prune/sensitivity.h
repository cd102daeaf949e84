// How much each group by itself can be pruned: one group at a time, everything else whole.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "prune/prune_plan.h"

namespace lathe {

struct SensitivityRow {
  std::string group;
  int32_t size = 0;
  double sparsity = 0;
  int32_t kept = 0;
  double value = 0;  // what `evaluate` said
};

/// Rows by group (prunable ones, in order), then by sparsity as given. Sparsities that keep as many
/// channels as the one before are not evaluated again. Groups are pruned by remove_channels on a
/// copy; `progress` gets the number of finished rows and of all.
std::vector<SensitivityRow> scan_sensitivity(
    const Graph& graph, const std::vector<ChannelGroup>& groups, const RemovalOrder& order,
    const std::vector<double>& sparsities, const std::function<double(const Graph&)>& evaluate,
    const std::function<void(size_t done, size_t all)>& progress = {});

}  // namespace lathe
