#include "prune/measured_budget.h"

#include <algorithm>
#include <limits>

namespace lathe {
namespace {

// Of the share that is searched for, from one search to the next at least: a small network's steps
// are coarse, a large one's confirmations take a second each.
constexpr double kLeastStep = 0.99;

}  // namespace

MeasuredPlan plan_measured_budget(const Graph& graph, const std::vector<ChannelGroup>& groups,
                                  const RemovalOrder& order, const CostFunction& cost,
                                  const ConfirmShare& confirm, double share,
                                  std::string_view what) {
  MeasuredPlan result;
  const auto confirm_plan = [&] {
    Graph pruned = graph;
    remove_channels(pruned, groups, result.plan.kept());
    result.confirmed_share = confirm(pruned);
    ++result.confirmations;
    return !result.confirmed_share || *result.confirmed_share <= share;
  };
  try {
    result.plan = plan_budget(graph, groups, order, cost, share, what);
  } catch (const BudgetUnreachable&) {
    result.plan = order.plan(order.removable());
    const bool reachable = confirm_plan();
    if (!result.confirmed_share) throw;
    if (!reachable) throw BudgetUnreachable(what, share, *result.confirmed_share);
    // A measurement was disturbed. Slower, and with the share itself as the cost.
    result.plan = plan_budget(
        graph, groups, order,
        [&](const Graph& candidate) {
          if (&candidate == &graph) return 1.0;
          ++result.confirmations;
          return confirm(candidate).value_or(std::numeric_limits<double>::max());
        },
        share, what);
    result.confirmed_share = result.plan.cost_share;
    return result;
  }
  if (result.plan.removed == 0 || confirm_plan()) return result;
  for (double target = share; result.plan.removed < order.plan(order.removable()).removed;) {
    target *= std::min(kLeastStep, share / *result.confirmed_share);
    PrunePlan next;
    try {
      next = plan_budget(graph, groups, order, cost, target, what);
    } catch (const BudgetUnreachable& error) {
      next = order.plan(order.removable());
      next.cost_share = error.least_share();
    }
    // Where the cost is not monotone a smaller share may take fewer channels.
    if (next.removed <= result.plan.removed) continue;
    result.plan = std::move(next);
    if (confirm_plan()) return result;
  }
  throw BudgetUnreachable(what, share, *result.confirmed_share);
}

}  // namespace lathe
