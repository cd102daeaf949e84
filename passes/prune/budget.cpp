#include "prune/budget.h"

#include <fmt/format.h>

#include "ops/op_row.h"

namespace lathe {
namespace {

std::string percent(double share) { return fmt::format("{:.3g} %", 100 * share); }

}  // namespace

double network_cost(const Graph& graph, CostMetric metric) {
  if (metric == CostMetric::kMacs) return static_cast<double>(count_macs(graph).macs);
  double total = 0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids()) {
      const Tensor* constant = inner.constant(id);
      if (constant == nullptr) continue;
      if (metric == CostMetric::kBytes)
        total += static_cast<double>(constant->bytes().size());
      else if (is_floating(constant->dtype()))
        total += static_cast<double>(constant->numel());
    }
  });
  return total;
}

BudgetUnreachable::BudgetUnreachable(std::string_view what, double wanted, double least)
    : Error(ExitCode::kGateMissed, "prune.budget_unreachable",
            {fmt::format("{} cannot be brought to {}: {} is the least that can be reached", what,
                         percent(wanted), percent(least)),
             "--budget",
             "ask for more than that, or let more take part (--include, --exclude, --round-to)"}),
      least_(least) {}

PrunePlan plan_budget(const Graph& graph, const std::vector<ChannelGroup>& groups,
                      const RemovalOrder& order, const CostFunction& cost, double share,
                      std::string_view what) {
  if (!(share > 0 && share <= 1))
    throw bad_usage("prune.budget", fmt::format("a budget of {} is not within 0..1", share),
                    "--budget", "a share of what there is, such as macs=50%");
  const double before = cost(graph);
  if (!(before > 0))
    throw bad_input("prune.no_cost", fmt::format("the model's {} are not known or zero", what), {},
                    "use --sparsity");
  const auto share_of = [&](const PrunePlan& plan) {
    if (plan.removed == 0) return 1.0;
    Graph pruned = graph;
    remove_channels(pruned, groups, plan.kept());
    return cost(pruned) / before;
  };
  if (share >= 1) return order.plan(0);
  int64_t high = order.removable();  // meets the budget
  PrunePlan best = order.plan(high);
  best.cost_share = share_of(best);
  if (best.cost_share > share) throw BudgetUnreachable(what, share, best.cost_share);
  for (int64_t low = 0; high - low > 1;) {  // low does not meet it
    const int64_t middle = low + (high - low) / 2;
    PrunePlan plan = order.plan(middle);
    plan.cost_share = share_of(plan);
    if (plan.cost_share <= share) {
      high = middle;
      best = std::move(plan);
    } else {
      low = middle;
    }
  }
  return best;
}

}  // namespace lathe
