// Narrowing a plan: some nodes stay in float after all, without calibrating again.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "quantize/apply/quantize_dynamically.h"
#include "quantize/apply/store_integer_weights.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

/// The plan that select_nodes() and plan_precision() would have made, had `left_in_float` been
/// excluded: without these nodes, without followers that now read floats or serve no integer
/// arithmetic any more, without values, weights and biases that nobody needs. Parameters stay as
/// they are. `graph` is the one that the plan was made for. Exceptions get a row with `reason` for
/// every node of `left_in_float` that was in the plan.
PrecisionPlan without_nodes(const Graph& graph, const PrecisionPlan& plan,
                            const std::set<NodeId>& left_in_float, const std::string& reason);

/// The same for the plans of other modes. A node with bodies (If, Loop, Scan) is left in float with
/// all that its bodies hold. A weight that another node reads, too, is stored for that one.
WeightStoragePlan without_nodes(const Graph& graph, WeightStoragePlan plan,
                                const std::set<NodeId>& left_in_float, const std::string& reason);
DynamicPlan without_nodes(const Graph& graph, DynamicPlan plan,
                          const std::set<NodeId>& left_in_float, const std::string& reason);

/// Nodes of this graph that the plan changes, or in whose bodies it changes some.
std::set<NodeId> planned_nodes(const WeightStoragePlan& plan);
std::set<NodeId> planned_nodes(const DynamicPlan& plan);

/// Gives nodes of `rounded` the weights and biases that they have in `reference`, of the same ids;
/// nodes that are no linear layers stay as they are. Returns how many were changed.
int restore_float_layers(Graph& rounded, const Graph& reference, const std::set<NodeId>& nodes);

}  // namespace lathe
