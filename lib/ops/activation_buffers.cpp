#include "ops/activation_buffers.h"

#include <algorithm>

#include "ir/tensor.h"

namespace lathe {
namespace {

int64_t bytes_of(const ValueType& type) {
  if (!type.is_tensor() || !type.dims) return 0;
  Shape shape;
  for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : 1);
  return dtype_bytes(type.dtype, element_count(shape));
}

// Integer weights are dequantized once, when a model is made ready, not between its nodes.
bool makes_a_weight(const Graph& graph, const Node& node) {
  return node.kind == OpKind::kDequantizeLinear &&
         std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
           return !input.valid() || graph.constant(input) != nullptr;
         });
}

}  // namespace

std::vector<BufferRequest> activation_buffers(const Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  std::vector<int32_t> step_of;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto index = static_cast<size_t>(order[i].index);
    if (step_of.size() <= index) step_of.resize(index + 1);
    step_of[index] = static_cast<int32_t>(i);
  }
  const int32_t end = std::max<int32_t>(0, static_cast<int32_t>(order.size()) - 1);
  std::vector<bool> is_output;
  for (const ValueId id : graph.outputs()) {
    const auto index = static_cast<size_t>(id.index);
    if (is_output.size() <= index) is_output.resize(index + 1);
    is_output[index] = true;
  }

  std::vector<BufferRequest> requests;
  const auto request = [&](ValueId id, int32_t first) {
    const Value& value = graph.value(id);
    if (value.is_constant()) return;
    int32_t last = first;
    for (const NodeId user : value.users)
      last = std::max(last, step_of[static_cast<size_t>(user.index)]);
    const auto index = static_cast<size_t>(id.index);
    if (index < is_output.size() && is_output[index]) last = end;
    requests.push_back({bytes_of(value.type), first, last});
  };
  for (const ValueId input : graph.inputs()) request(input, 0);
  for (size_t i = 0; i < order.size(); ++i) {
    const Node& node = graph.node(order[i]);
    if (makes_a_weight(graph, node)) continue;
    for (const ValueId output : node.outputs)
      if (output.valid()) request(output, static_cast<int32_t>(i));
  }
  return requests;
}

}  // namespace lathe
