#include <algorithm>

#include "graph/graph_passes.h"
#include "qdq/qdq.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

// (q - z) * s / s rounds back to q for integers of at most 16 bits, unless the product leaves the
// normal range of float32.
bool is_exact(const QuantParams& params) {
  return dtype_bits(params.dtype) <= 16 &&
         std::ranges::all_of(params.scales, [](float s) { return s >= 1e-30f && s <= 1e30f; });
}

bool cancel_one(Graph& graph, NodeId id) {
  const Node& quantize = graph.node(id);
  if (quantize.kind != OpKind::kQuantizeLinear) return false;
  const ValueId floats = quantize.inputs[0];
  const Node* dequantize = dequantizer(graph, floats);
  if (dequantize == nullptr || graph.value(floats).type.dtype != DType::kFloat32) return false;
  const auto blocks = [](const Node& node) { return node.attributes.int_or("block_size", 0); };
  const auto params = constant_params(graph, quantize);
  if (!params || params != constant_params(graph, *dequantize) || !is_exact(*params) ||
      blocks(quantize) != blocks(*dequantize))
    return false;
  const ValueId integers = dequantize->inputs[0];
  const ValueId output = quantize.outputs[0];
  if (!may_redirect(graph, output, integers)) return false;
  graph.replace_all_uses_keeping_output_name(output, integers);
  graph.erase_node(id);
  erase_if_unread(graph, graph.value(floats).producer);
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
