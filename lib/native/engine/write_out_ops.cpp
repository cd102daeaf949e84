#include "engine/write_out_ops.h"

#include <cmath>

#include "evaluate/evaluate.h"
#include "evaluate/quantization.h"
#include "onnx/edit_node.h"
#include "onnx/lower_composites.h"
#include "run/runtime_value.h"

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

// Constant inputs of a node for its evaluation; false where one is none.
struct ConstantInputs {
  std::vector<at::Tensor> tensors;
  std::vector<DType> dtypes;

  bool add(const Graph& graph, ValueId id) {
    const Tensor* constant = id.valid() ? graph.constant(id) : nullptr;
    if (constant == nullptr && id.valid()) return false;
    tensors.emplace_back();
    if (constant != nullptr) tensors.back() = to_runtime(*constant).tensor;
    dtypes.push_back(constant != nullptr ? constant->dtype() : DType::kUndefined);
    return true;
  }
};

ValueId add_floats(const NodeEdit& edit, const at::Tensor& floats) {
  return edit.constant("floats", to_tensor(RuntimeValue(floats.contiguous(), DType::kFloat32)));
}

// The table in floats.
void write_out_blocks(const NodeEdit& edit) {
  Graph& graph = edit.graph;
  const Node node = edit.node();
  ConstantInputs given;
  for (const size_t i : {0, 2, 3})
    if (!given.add(graph, node.input(i))) return;
  Node blocks;
  blocks.kind = OpKind::kDequantizeLinear;
  blocks.attributes.set("axis", node.attributes.int_or("quantize_axis", 1));
  blocks.attributes.set("block_size", node.attributes.int_or("block_size", 128));
  const at::Tensor table =
      evaluate_function(blocks.kind)({blocks, given.tensors, given.dtypes, {}})[0];
  const int64_t axis = node.attributes.int_or("gather_axis", 0);
  const ValueId floats = add_floats(edit, table);
  set_kind(graph, edit.id, OpKind::kGather);
  edit.attributes() = {};
  edit.attributes().set("axis", axis);
  graph.replace_input(edit.id, 0, floats);
  keep_inputs(graph, edit.id, 2);
}

// The weights as floats, and a product with them.
void write_out_nbits(const NodeEdit& edit) {
  Graph& graph = edit.graph;
  const Node node = edit.node();
  ConstantInputs given{{at::Tensor()}, {DType::kUndefined}};
  for (size_t i = 1; i <= 4; ++i)
    if (!given.add(graph, node.input(i))) return;
  const ValueType type = graph.value(node.outputs[0]).type;
  const ValueId weight =
      add_floats(edit, nbits_weights({node, given.tensors, given.dtypes, {}}).t());
  const bool has_bias = node.input(5).valid();
  const ValueId product =
      has_bias ? edit.op(OpKind::kMatMul, {edit.input(0), weight}, "product", {}, type) : ValueId{};
  set_kind(graph, edit.id, has_bias ? OpKind::kAdd : OpKind::kMatMul);
  edit.attributes() = {};
  if (has_bias) graph.replace_input(edit.id, 0, product);
  graph.replace_input(edit.id, 1, has_bias ? node.input(5) : weight);
  keep_inputs(graph, edit.id, 2);
}

}  // namespace

void write_out_ops(Graph& graph) {
  for (const NodeId id : graph.order()) {
    if (!graph.is_live(id)) continue;
    const OpKind kind = graph.node(id).kind;
    if (kind == OpKind::kBatchNormalization) write_out_batch_norm({graph, id});
    if (kind == OpKind::kMatMulNBits) write_out_nbits({graph, id});
    if (kind == OpKind::kGatherBlockQuantized) write_out_blocks({graph, id});
    if (kind == OpKind::kAttention && !composite_parts(graph, graph.node(id)).empty())
      write_out({graph, id});
  }
}

}  // namespace lathe
