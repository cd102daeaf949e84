// plan_budget for a cost that is measured, and therefore noisy and not quite monotone.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "prune/budget.h"

namespace lathe {

struct MeasuredPlan {
  PrunePlan plan;  // cost_share: by the cost function
  /// What `confirm` said of the plan; nullopt: it could not tell, and the cost function stands
  /// alone.
  std::optional<double> confirmed_share;
  size_t confirmations = 0;
};

/// Share of the whole graph's cost that the pruned graph costs, measured anew; nullopt: not known.
using ConfirmShare = std::function<std::optional<double>(const Graph& pruned)>;

/// plan_budget with `cost`, which should answer the same for the same graph. A bisection takes the
/// plan whose measurement erred downwards, and a sum over layers is not a whole run; so `confirm`
/// measures the chosen plan again, and as long as it finds more than `share`, the search goes on
/// for a smaller network: what is returned has been confirmed to cost at most `share`. A budget
/// that `cost` says cannot be reached is searched for with `confirm` alone when that says it can.
/// Throws as plan_budget does; BudgetUnreachable with the confirmed share.
MeasuredPlan plan_measured_budget(const Graph& graph, const std::vector<ChannelGroup>& groups,
                                  const RemovalOrder& order, const CostFunction& cost,
                                  const ConfirmShare& confirm, double share, std::string_view what);

}  // namespace lathe
