#include "graph/graph_passes.h"

namespace lathe {
namespace {

bool is_bias(const Tensor* tensor, int64_t columns, DType dtype) {
  if (tensor == nullptr || tensor->dtype() != dtype || tensor->numel() != columns) return false;
  return tensor->rank() == 1 || (tensor->rank() == 2 && tensor->shape()[0] == 1);
}

bool fuse_add(Graph& graph, NodeId id) {
  const Node& add = graph.node(id);
  if (add.kind != OpKind::kAdd) return false;
  for (size_t side = 0; side < 2; ++side) {
    const ValueId product = add.inputs[side];
    const ValueId bias = add.inputs[1 - side];
    const NodeId producer = graph.value(product).producer;
    if (!producer.valid() || graph.single_user(product) != id) continue;
    const Node& matmul = graph.node(producer);
    if (matmul.kind != OpKind::kMatMul) continue;
    // Gemm takes matrices only; MatMul of more dimensions stays.
    const auto& dims = graph.value(matmul.inputs[0]).type.dims;
    const Tensor* weight = graph.constant(matmul.inputs[1]);
    if (!dims || dims->size() != 2 || weight == nullptr || weight->rank() != 2) continue;
    if (!is_floating(weight->dtype()) ||
        !is_bias(graph.constant(bias), weight->shape()[1], weight->dtype()))
      continue;
    const std::vector<ValueId> inputs = matmul.inputs;
    graph.replace_input(id, 0, inputs[0]);
    graph.replace_input(id, 1, inputs[1]);
    graph.add_node_input(id, bias);
    graph.edit(id).kind = OpKind::kGemm;
    graph.erase_node(producer);
    return true;
  }
  return false;
}

}  // namespace

int fuse_matmul_add(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_matmul_add(subgraph.graph());
    changes += fuse_add(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
