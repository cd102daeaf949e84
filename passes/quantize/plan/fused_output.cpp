#include "quantize/plan/precision_plan.h"

namespace lathe {

ValueId fused_output(const Graph& graph, NodeId node) {
  const ValueId own = graph.node(node).output(0);
  const auto user = graph.single_user(own);
  if (!user) return own;
  const Node& next = graph.node(*user);
  if (next.input(0) != own || !clamp_of(graph, next)) return own;
  return next.output(0);
}

}  // namespace lathe
