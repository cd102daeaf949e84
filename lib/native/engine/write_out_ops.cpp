#include "engine/write_out_ops.h"

#include <cmath>

#include "onnx/edit_node.h"
#include "onnx/lower_composites.h"

namespace lathe {
namespace {

// y = x * scale / sqrt(variance + epsilon) + (bias - mean * that).
void write_out_batch_norm(const NodeEdit& edit) {
  Graph& graph = edit.graph;
  const Node& node = edit.node();
  const ValueType type = graph.value(node.input(0)).type;
  if (node.outputs.size() != 1 || node.attributes.int_or("training_mode", 0) != 0 ||
      type.dtype != DType::kFloat32 || !type.dims || type.dims->size() < 2)
    return;
  std::vector<std::vector<double>> statistics;
  for (size_t i = 1; i <= 4; ++i) {
    const Tensor* constant = graph.constant(node.input(i));
    if (constant == nullptr || constant->dtype() != DType::kFloat32) return;
    statistics.push_back(constant->to_double());
    if (statistics.back().size() != statistics.front().size()) return;
  }
  const double epsilon = node.attributes.float_or("epsilon", 1e-5F);
  std::vector<float> factors;
  std::vector<float> terms;
  for (size_t c = 0; c < statistics[0].size(); ++c) {
    const double factor = statistics[0][c] / std::sqrt(statistics[3][c] + epsilon);
    factors.push_back(static_cast<float>(factor));
    terms.push_back(static_cast<float>(statistics[1][c] - statistics[2][c] * factor));
  }
  // Channels are the second dimension.
  Shape shape(type.dims->size() - 1, 1);
  shape[0] = static_cast<int64_t>(factors.size());
  const ValueId factor = edit.constant("factor", Tensor::of(shape, factors));
  const ValueId term = edit.constant("term", Tensor::of(shape, terms));
  const ValueId scaled = edit.op(OpKind::kMul, {edit.input(0), factor}, "scaled", {}, type);
  set_kind(graph, edit.id, OpKind::kAdd);
  edit.attributes() = {};
  graph.replace_input(edit.id, 0, scaled);
  graph.replace_input(edit.id, 1, term);
  keep_inputs(graph, edit.id, 2);
}

}  // namespace

void write_out_ops(Graph& graph) {
  for (const NodeId id : graph.order()) {
    if (!graph.is_live(id)) continue;
    const OpKind kind = graph.node(id).kind;
    if (kind == OpKind::kBatchNormalization) write_out_batch_norm({graph, id});
    if (kind == OpKind::kAttention && !composite_parts(graph, graph.node(id)).empty())
      write_out({graph, id});
  }
}

}  // namespace lathe
