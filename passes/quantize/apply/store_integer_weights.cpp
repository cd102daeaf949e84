#include "quantize/apply/store_integer_weights.h"

namespace lathe {
namespace {

Attributes layout_attributes(const ScaleLayout& layout) {
  Attributes attributes;
  if (layout.axis >= 0) attributes.set("axis", layout.axis);
  if (layout.block_size > 0) attributes.set("block_size", layout.block_size);
  return attributes;
}

// The scales lie along the last axis of what is gathered, too, unless that axis is gathered over.
// ONNX has no Gather of four bits.
bool gathers_integers(const Node& node, const StoredWeight& weight, int64_t rank) {
  if (node.kind != OpKind::kGather || weight.layout.block_size > 0 || dtype_bits(weight.dtype) < 8)
    return false;
  const int64_t axis = node.attributes.int_or("axis", 0);
  return weight.layout.axis < 0 ||
         (weight.layout.axis == rank - 1 && axis != -1 && axis < rank - 1);
}

void gather_then_dequantize(Graph& graph, NodeId id, const StoredWeight& weight, ValueId integers,
                            ValueId scales) {
  const Node old = graph.node(id);
  const ValueId output = old.outputs[0];
  const ValueType type = graph.value(output).type;
  const std::string name = graph.value(output).name;
  const ValueId gathered = graph.add_op(OpKind::kGather, {integers, old.inputs[1]},
                                        name + "_integers", old.attributes, old.name);
  graph.edit_type(gathered) = tensor_type(weight.dtype, type.dims);
  Attributes last;
  if (weight.layout.axis >= 0) last.set("axis", int64_t{-1});
  const ValueId floats = graph.add_op(OpKind::kDequantizeLinear, {gathered, scales},
                                      name + "_dequantized", last, name + "_DequantizeLinear");
  graph.edit_type(floats) = type;
  graph.replace_all_uses_keeping_output_name(output, floats);
  graph.erase_node(id);
}

void store(Graph& graph, const StoredWeight& weight, StoredNoise& noise) {
  const Tensor floats = *graph.constant(weight.value);
  const std::string name = graph.value(weight.value).name;
  // Pictures and spectra come in with means near zero: there balancing would be noise alone.
  const Node& reader = graph.node(weight.readers.front().first);
  const bool balanced = reader.kind == OpKind::kConv && !graph.is_input(reader.inputs[0]);
  const ScaledIntegers stored =
      weight.scales
          ? quantize_with_scales(floats, weight.dtype, weight.layout, *weight.scales)
          : quantize_blocks(floats, weight.dtype, weight.layout,
                            balanced ? WeightRounding::kBalanced : WeightRounding::kNearest);
  noise.noise += stored.noise;
  noise.signal += stored.signal;
  const ValueId integers = graph.add_constant(name + "_quantized", stored.integers);
  const ValueId scales = graph.add_constant(name + "_scale", stored.scales);
  ValueId dequantized;
  for (const auto& [id, input] : weight.readers) {
    if (gathers_integers(graph.node(id), weight, floats.rank())) {
      gather_then_dequantize(graph, id, weight, integers, scales);
      continue;
    }
    if (!dequantized.valid()) {
      dequantized =
          graph.add_op(OpKind::kDequantizeLinear, {integers, scales}, name + "_dequantized",
                       layout_attributes(weight.layout), name + "_DequantizeLinear");
      graph.edit_type(dequantized) = tensor_type(DType::kFloat32, dims_of(floats.shape()));
    }
    graph.replace_input(id, input, dequantized);
  }
}

}  // namespace

int store_integer_weights(Graph& graph, const WeightStoragePlan& plan, StoredNoise& noise) {
  int changes = 0;
  for (const StoredWeight& weight : plan.weights) {
    store(graph, weight, noise);
    ++changes;
  }
  for (const auto& [place, body] : plan.bodies)
    changes +=
        store_integer_weights(graph.edit(place.first).subgraphs[place.second].graph(), body, noise);
  return changes;
}

}  // namespace lathe
