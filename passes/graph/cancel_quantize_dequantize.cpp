#include <algorithm>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

// (q - z) * s / s rounds back to q for integers of at most 16 bits, unless the product leaves the
// normal range of float32.
bool has_safe_scales(const Tensor& scale) {
  if (scale.dtype() != DType::kFloat32) return false;
  const auto values = scale.values<float>();
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return value >= 1e-30f && value <= 1e30f; });
}

// Absent zero points are zeros; both absent or both equal.
bool same_zero_point(const Graph& graph, const Node& a, const Node& b) {
  const ValueId left = a.input(2);
  const ValueId right = b.input(2);
  if (!left.valid() && !right.valid()) return true;
  const auto is_zero = [&](ValueId id) {
    if (!id.valid()) return true;
    const Tensor* tensor = graph.constant(id);
    if (tensor == nullptr) return false;
    const std::vector<int64_t> values = tensor->to_int64();
    return std::all_of(values.begin(), values.end(), [](int64_t value) { return value == 0; });
  };
  if (!left.valid() || !right.valid()) return is_zero(left) && is_zero(right);
  const Tensor* first = graph.constant(left);
  const Tensor* second = graph.constant(right);
  return first != nullptr && second != nullptr && first->identical(*second);
}

bool same_parameters(const Graph& graph, const Node& dequantize, const Node& quantize) {
  const Tensor* first = graph.constant(dequantize.input(1));
  const Tensor* second = graph.constant(quantize.input(1));
  if (first == nullptr || second == nullptr || !first->identical(*second)) return false;
  if (!has_safe_scales(*first) || !same_zero_point(graph, dequantize, quantize)) return false;
  if (first->rank() == 0) return true;
  return dequantize.attributes.int_or("axis", 1) == quantize.attributes.int_or("axis", 1) &&
         dequantize.attributes.int_or("block_size", 0) ==
             quantize.attributes.int_or("block_size", 0);
}

bool cancel_one(Graph& graph, NodeId id) {
  const Node& quantize = graph.node(id);
  if (quantize.kind != OpKind::kQuantizeLinear) return false;
  const NodeId producer = graph.value(quantize.inputs[0]).producer;
  if (!producer.valid()) return false;
  const Node& dequantize = graph.node(producer);
  if (dequantize.kind != OpKind::kDequantizeLinear) return false;
  const ValueId integers = dequantize.inputs[0];
  const ValueId output = quantize.outputs[0];
  const DType dtype = graph.value(integers).type.dtype;
  if (!is_integer(dtype) || dtype_bits(dtype) > 16 || graph.value(output).type.dtype != dtype ||
      graph.value(quantize.inputs[0]).type.dtype != DType::kFloat32)
    return false;
  if (!same_parameters(graph, dequantize, quantize) || !may_redirect(graph, output, integers))
    return false;
  graph.replace_all_uses_keeping_output_name(output, integers);
  graph.erase_node(id);
  erase_if_unread(graph, producer);
  return true;
}

}  // namespace

int cancel_quantize_dequantize(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += cancel_quantize_dequantize(subgraph.graph());
    changes += cancel_one(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
