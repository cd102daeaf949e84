#include "ops/activation_fusion.h"
#include "quantize/precision_plan.h"

namespace lathe {

std::optional<Range> activation_bounds(const Graph& graph, const Node& node) {
  const auto bounds = clamp_of(graph, node);
  if (!bounds) return std::nullopt;
  return Range{bounds->low, bounds->high};
}

ValueId fused_output(const Graph& graph, NodeId node) {
  const ValueId own = graph.node(node).output(0);
  const auto user = graph.single_user(own);
  if (!user) return own;
  const Node& next = graph.node(*user);
  if (next.input(0) != own || !activation_bounds(graph, next)) return own;
  return next.output(0);
}

}  // namespace lathe
