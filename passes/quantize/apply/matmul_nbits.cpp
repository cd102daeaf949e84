#include "quantize/apply/matmul_nbits.h"

#include <algorithm>
#include <optional>

#include "qdq/qdq.h"

namespace lathe {
namespace {

// ONNX Runtime's: int8 products with a scale for each block of the input.
constexpr int64_t kRoundedInputs = 4;
constexpr int64_t kLeastBlock = 16;

// int4 in blocks along the depth.
struct Blocks {
  int64_t depth = 0;
  int64_t columns = 0;
  int64_t size = 0;
  std::vector<int64_t> integers;  // columns x depth
  std::vector<float> scales;      // columns x blocks

  int64_t count() const { return (depth - 1) / size + 1; }
};

template <class T>
std::vector<T> transposed(const std::vector<T>& values, int64_t rows, int64_t columns) {
  std::vector<T> out(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * columns + c)];
  return out;
}

std::optional<Blocks> blocks_of(const Graph& graph, const Node& node) {
  const bool gemm = node.kind == OpKind::kGemm;
  if (!gemm && node.kind != OpKind::kMatMul) return {};
  const Attributes& attributes = node.attributes;
  if (gemm && (attributes.float_or("alpha", 1) != 1 || attributes.float_or("beta", 1) != 1 ||
               attributes.int_or("transA", 0) != 0))
    return {};
  const Node* dequantize = dequantizer(graph, node.input(1));
  if (dequantize == nullptr || dequantize->input(2).valid()) return {};
  const Tensor* weight = graph.constant(dequantize->input(0));
  const Tensor* scales = graph.constant(dequantize->input(1));
  if (weight == nullptr || scales == nullptr || weight->dtype() != DType::kInt4 ||
      weight->rank() != 2 || scales->dtype() != DType::kFloat32 || scales->rank() != 2)
    return {};
  const bool by_column = gemm && attributes.int_or("transB", 0) != 0;
  const int64_t input_axis = by_column ? 1 : 0;
  int64_t axis = dequantize->attributes.int_or("axis", 1);
  if (axis < 0) axis += 2;
  Blocks blocks;
  blocks.size = dequantize->attributes.int_or("block_size", 0);
  if (axis != input_axis || blocks.size < kLeastBlock || (blocks.size & (blocks.size - 1)) != 0)
    return {};
  blocks.depth = weight->shape()[static_cast<size_t>(input_axis)];
  blocks.columns = weight->shape()[static_cast<size_t>(1 - input_axis)];
  if (blocks.depth < 1 || blocks.columns < 1) return {};
  blocks.integers = weight->to_int64();
  const auto held = scales->values<float>();
  blocks.scales.assign(held.begin(), held.end());
  if (!by_column) {
    blocks.integers = transposed(blocks.integers, blocks.depth, blocks.columns);
    blocks.scales = transposed(blocks.scales, blocks.count(), blocks.columns);
  }
  return blocks;
}

// Two in a byte, the first in its low half, 8 above what they are.
Tensor packed(const Blocks& blocks) {
  const int64_t bytes = blocks.count() * blocks.size / 2;
  std::vector<uint8_t> out(static_cast<size_t>(blocks.columns * bytes), 0x88);
  for (int64_t c = 0; c < blocks.columns; ++c)
    for (int64_t k = 0; k < blocks.depth; ++k) {
      const auto value =
          static_cast<unsigned>(blocks.integers[static_cast<size_t>(c * blocks.depth + k)] + 8);
      uint8_t& byte = out[static_cast<size_t>(c * bytes + k / 2)];
      byte =
          static_cast<uint8_t>(k % 2 == 0 ? (byte & 0xf0U) | value : (byte & 0x0fU) | value << 4U);
    }
  return Tensor::of<uint8_t>({blocks.columns, blocks.count(), blocks.size / 2}, out);
}

void replace(Graph& graph, NodeId id, const Blocks& blocks) {
  const Node old = graph.node(id);
  const ValueId output = old.outputs[0];
  const ValueType type = graph.value(output).type;
  const std::string name = graph.value(output).name;
  const std::string weight = graph.value(dequantizer(graph, old.input(1))->input(0)).name;
  Attributes attributes;
  attributes.set("K", blocks.depth);
  attributes.set("N", blocks.columns);
  attributes.set("bits", int64_t{4});
  attributes.set("block_size", blocks.size);
  attributes.set("accuracy_level", kRoundedInputs);
  const ValueId integers = graph.add_constant(weight + "_nbits", packed(blocks));
  const ValueId scales =
      graph.add_constant(weight + "_nbits_scales", Tensor::vector<float>(blocks.scales));
  ValueId product =
      graph.add_op(OpKind::kMatMulNBits, {old.input(0), integers, scales},
                   graph.fresh_name(name + "_nbits"), std::move(attributes), old.name);
  graph.edit_type(product) = type;
  if (old.input(2).valid()) {
    product = graph.add_op(OpKind::kAdd, {product, old.input(2)}, graph.fresh_name(name + "_sum"),
                           {}, old.name + "_Add");
    graph.edit_type(product) = type;
  }
  graph.replace_all_uses_keeping_output_name(output, product);
  graph.erase_node(id);
}

// ONNX Runtime expands a whole table at every run before it gathers.
bool fuse_gather(Graph& graph, NodeId id) {
  const Node old = graph.node(id);
  if (old.kind != OpKind::kGather) return false;
  const Node* dequantize = dequantizer(graph, old.inputs[0]);
  if (dequantize == nullptr || dequantize->input(2).valid()) return false;
  const Tensor* table = graph.constant(dequantize->input(0));
  const int64_t size = dequantize->attributes.int_or("block_size", 0);
  if (table == nullptr || table->dtype() != DType::kInt4 || size < kLeastBlock ||
      (size & (size - 1)) != 0)
    return false;
  const auto positive = [&](int64_t axis) { return axis < 0 ? axis + table->rank() : axis; };
  const int64_t along = positive(dequantize->attributes.int_or("axis", 1));
  const int64_t axis = positive(old.attributes.int_or("axis", 0));
  if (along == axis) return false;
  Attributes attributes;
  attributes.set("gather_axis", axis);
  attributes.set("quantize_axis", along);
  attributes.set("block_size", size);
  const ValueId output = old.outputs[0];
  const ValueType type = graph.value(output).type;
  const ValueId gathered = graph.add_op(
      OpKind::kGatherBlockQuantized, {dequantize->input(0), old.inputs[1], dequantize->input(1)},
      graph.fresh_name(graph.value(output).name + "_blocks"), std::move(attributes), old.name);
  graph.edit_type(gathered) = type;
  graph.replace_all_uses_keeping_output_name(output, gathered);
  graph.erase_node(id);
  return true;
}

}  // namespace

int fuse_matmul_nbits(Graph& graph) {
  int fused = 0;
  for (const NodeId id : graph.order()) {
    if (fuse_gather(graph, id)) {
      ++fused;
      continue;
    }
    const auto blocks = blocks_of(graph, graph.node(id));
    if (blocks) {
      replace(graph, id, *blocks);
      ++fused;
      continue;
    }
    for (Subgraph& body : graph.edit(id).subgraphs) fused += fuse_matmul_nbits(body.graph());
  }
  return fused;
}

}  // namespace lathe
