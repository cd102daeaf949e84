// Pruning to a budget: the fewest channels whose removal brings a cost below a share of what it
// was.
#pragma once

#include <functional>
#include <string_view>

#include "ir/error.h"
#include "prune/prune_plan.h"

namespace lathe {

/// What a network costs. Does not rise when channels go (a measured latency: about so).
using CostFunction = std::function<double(const Graph&)>;

enum class CostMetric : uint8_t { kParams, kMacs, kBytes };

/// Elements of weights and other floating-point constants; multiply-accumulates at the known
/// shapes; bytes of all constants. Of the graph and its subgraphs.
double network_cost(const Graph& graph, CostMetric metric);

/// exit 4: the most that can be pruned leaves more than was asked for.
class BudgetUnreachable : public Error {
 public:
  BudgetUnreachable(std::string_view what, double wanted, double least);
  /// Share of the cost that is left when every prunable group is down to its least.
  double least_share() const { return least_; }

 private:
  double least_;
};

/// The plan with the fewest removed channels whose cost is at most `share` (above 0, at most 1)
/// times the graph's: one channel more would not be needed, one less would not do (with rounding:
/// one step). Looks at about log2(channels) candidates, made by remove_channels on a copy; `what`
/// ("macs") is for messages. The cost must be above 0 before. Throws BudgetUnreachable; Error (exit
/// 2) for a share out of range.
PrunePlan plan_budget(const Graph& graph, const std::vector<ChannelGroup>& groups,
                      const RemovalOrder& order, const CostFunction& cost, double share,
                      std::string_view what);

}  // namespace lathe
