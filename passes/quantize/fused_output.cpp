#include <cmath>

#include "quantize/precision_plan.h"

namespace lathe {

std::optional<Range> activation_bounds(const Graph& graph, const Node& node) {
  if (node.kind == OpKind::kRelu) return Range{0.0, INFINITY};
  if (node.kind != OpKind::kClip) return std::nullopt;
  Range bounds{-INFINITY, INFINITY};
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (!node.input(i).valid()) continue;
    const Tensor* constant = graph.constant(node.input(i));
    if (constant == nullptr || constant->numel() != 1) return std::nullopt;
    (i == 1 ? bounds.min : bounds.max) = constant->to_double()[0];
  }
  return bounds;
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
