#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

bool recognize_swish_at(Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.kind != OpKind::kMul) return false;
  const ScalarProduct product = scalar_product(graph, root.outputs[0]);
  if (product.factors.size() != 2 || !product.divisors.empty() || product.scale != 1.0)
    return false;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const ValueId x = product.factors[side];
    const NodeId gate = graph.value(product.factors[1 - side]).producer;
    if (!gate.valid() || graph.node(gate).kind != OpKind::kSigmoid ||
        !keeps_shape(graph, x, root.outputs[0]))
      continue;
    const ValueId inside = graph.node(gate).inputs[0];
    ScalarProduct argument;
    argument.factors = {inside};
    // x itself may be a product: it is taken apart only for alpha.
    if (inside != x) argument = scalar_product(graph, inside);
    const float alpha = static_cast<float>(argument.scale);
    if (!argument.is_scaled(x) || !(alpha > 0)) continue;
    // The attribute is float32.
    if (graph.value(x).type.dtype == DType::kFloat64 &&
        static_cast<double>(alpha) != argument.scale)
      continue;
    WrittenOut swish{id, product.inner, OpKind::kSwish, {x}, {}};
    swish.inner.push_back(gate);
    swish.inner.insert(swish.inner.end(), argument.inner.begin(), argument.inner.end());
    if (alpha != 1.0F) swish.attributes.set("alpha", alpha);
    return replace_written_out(graph, swish);
  }
  return false;
}

}  // namespace

int recognize_swish(Graph& graph) { return for_each_live_node(graph, recognize_swish_at); }

}  // namespace lathe
