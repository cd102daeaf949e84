#include "recognize/ramp.h"
#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

// The nodes of the gate that x is multiplied with; empty when it is none.
std::vector<NodeId> gate_of(const Graph& graph, ValueId gate, ValueId x, double scale) {
  const NodeId id = graph.value(gate).producer;
  if (!id.valid()) return {};
  const Node& node = graph.node(id);
  if (node.kind == OpKind::kHardSigmoid) {
    const bool same = node.inputs[0] == x && scale == 1.0 &&
                      is_close(graph, x, node.attributes.float_or("alpha", 0.2F), 1.0 / 6) &&
                      is_close(graph, x, node.attributes.float_or("beta", 0.5F), 0.5);
    return same ? std::vector{id} : std::vector<NodeId>{};
  }
  const auto ramp = ramp_of(graph, gate);
  if (!ramp || ramp->x != x || ramp->shift != 3.0 || ramp->top != 6.0 ||
      !is_close(graph, x, scale, 1.0 / 6))
    return {};
  return ramp->inner;
}

bool recognize_hard_swish_at(Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.kind != OpKind::kMul && root.kind != OpKind::kDiv) return false;
  const ScalarProduct product = scalar_product(graph, root.outputs[0]);
  if (product.factors.size() != 2 || !product.divisors.empty()) return false;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const ValueId x = product.factors[side];
    if (!keeps_shape(graph, x, root.outputs[0])) continue;
    const std::vector<NodeId> gate = gate_of(graph, product.factors[1 - side], x, product.scale);
    if (gate.empty()) continue;
    WrittenOut swish{id, product.inner, OpKind::kHardSwish, {x}, {}};
    swish.inner.insert(swish.inner.end(), gate.begin(), gate.end());
    return replace_written_out(graph, swish);
  }
  return false;
}

}  // namespace

int recognize_hard_swish(Graph& graph) {
  return for_each_live_node(graph, recognize_hard_swish_at);
}

}  // namespace lathe
