
#include "lower/lowering.h"

namespace lathe {
namespace {

/// Of the values with this root that must exist: the one quantized value that serves all their
/// readers; invalid when there are several.
ValueId only_demand(const Lowering& lowering, ValueId root) {
  ValueId only;
  for (ValueId id : lowering.roots.demanded(root)) {
    if (!lowering.roots.quantized(id)) {
      const Node* dq = dequantizer(lowering.graph, id);
      if (dq == nullptr) return {};
      id = dq->input(0);
    }
    if (only.valid() && id != only) return {};
    only = id;
  }
  return only;
}

/// The table that turns a quantized value into the only thing that is read of it.
void follow_table(Lowering& lowering, ValueId root, ProductTail& tail) {
  const ValueId wanted = only_demand(lowering, root);
  if (!wanted.valid() || wanted == root) return;
  const std::vector<NodeId> path = lowering.roots.path(lowering.graph, root, wanted);
  tail.nodes.insert(tail.nodes.end(), path.begin(), path.end());
  tail.table_root = root;
  tail.output = wanted;
}

/// The only reader of a quantized value behind its only DequantizeLinear.
std::optional<NodeId> reader_behind_dequantize(const Graph& graph, ValueId quantized, NodeId& dq) {
  const auto user = graph.single_user(quantized);
  if (!user || graph.node(*user).kind != OpKind::kDequantizeLinear) return std::nullopt;
  dq = *user;
  return graph.single_user(graph.node(*user).outputs[0]);
}

void follow_residual(Lowering& lowering, ProductTail& tail) {
  const Graph& graph = lowering.graph;
  NodeId dq;
  const auto add = reader_behind_dequantize(graph, tail.output, dq);
  if (!add || graph.node(*add).kind != OpKind::kAdd) return;
  // The product dequantizes as it has quantized.
  if (uint8_params(graph, graph.node(dq)) != tail.quantized->params) return;
  const Node& sum = graph.node(*add);
  const ValueId own = graph.node(dq).outputs[0];
  const ValueId other = sum.input(0) == own ? sum.input(1) : sum.input(0);
  if (other == own || lowering.shape(other) != lowering.shape(own) ||
      lowering.shape(sum.outputs[0]) != lowering.shape(own) || !lowering.has_integers(other))
    return;
  const auto behind = lowering.roots.root_behind(graph, sum.outputs[0], true);
  if (!behind) return;
  tail.nodes.insert(tail.nodes.end(), {dq, *add});
  if (behind->activation.valid()) tail.nodes.push_back(behind->activation);
  tail.nodes.push_back(behind->quantize);
  tail.residual = other;
  tail.residual_first = sum.input(0) == other;
  tail.sum_clamp = behind->bounds;
  tail.output = behind->integers;
  tail.sum_quantized = lowering.roots.quantized(tail.output);
}

}  // namespace

ProductTail follow_product(Lowering& lowering, ValueId value) {
  const Graph& graph = lowering.graph;
  ProductTail tail;
  const auto user = graph.single_user(value);
  if (user && graph.node(*user).input(0) == value) {
    tail.activation = activation_form(graph, graph.node(*user));
    if (tail.activation) {
      tail.nodes.push_back(*user);
      value = graph.node(*user).outputs[0];
    }
  }
  tail.output = value;
  const auto behind = lowering.roots.root_behind(graph, value);
  if (!behind) return tail;
  tail.nodes.push_back(behind->quantize);
  tail.output = behind->integers;
  tail.quantized = lowering.roots.quantized(tail.output);
  follow_residual(lowering, tail);
  follow_table(lowering, tail.output, tail);
  return tail;
}

}  // namespace lathe
