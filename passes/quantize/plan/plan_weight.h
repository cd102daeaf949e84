// Parameters of one node's weight and bias by the rules.
#pragma once

#include <optional>
#include <vector>

#include "quantize/plan/precision_plan.h"

namespace lathe {

struct PlannedWeight {
  WeightPlan weight;
  std::optional<WeightPlan> bias;  // nullopt: no bias that can be an integer
};

/// For a compute node with constant weights, whose input has parameters in `plan` already.
/// `widened`: factors for the weight's scales, empty for none. Throws Error (exit 3) for NaN or
/// infinite weights.
PlannedWeight plan_weight(const Graph& graph, const IntegerRules& rules, const PrecisionPlan& plan,
                          NodeId node, const std::vector<float>& widened = {});

}  // namespace lathe
