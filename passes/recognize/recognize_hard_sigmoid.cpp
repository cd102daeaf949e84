#include "recognize/ramp.h"
#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

bool recognize_hard_sigmoid_at(Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.kind != OpKind::kMul && root.kind != OpKind::kDiv) return false;
  const ScalarProduct product = scalar_product(graph, root.outputs[0]);
  if (product.factors.size() != 1 || !product.divisors.empty()) return false;
  const auto ramp = ramp_of(graph, product.factors[0]);
  if (!ramp || !keeps_shape(graph, ramp->x, root.outputs[0])) return false;
  // The attributes are float32.
  if (graph.value(ramp->x).type.dtype == DType::kFloat64) return false;
  if (!is_close(graph, ramp->x, product.scale, 1 / ramp->top)) return false;
  WrittenOut gate{id, product.inner, OpKind::kHardSigmoid, {ramp->x}, {}};
  gate.inner.insert(gate.inner.end(), ramp->inner.begin(), ramp->inner.end());
  gate.attributes.set("alpha", static_cast<float>(1 / ramp->top));
  gate.attributes.set("beta", static_cast<float>(ramp->shift / ramp->top));
  return replace_written_out(graph, gate);
}

}  // namespace

int recognize_hard_sigmoid(Graph& graph) {
  return for_each_live_node(graph, recognize_hard_sigmoid_at);
}

}  // namespace lathe
