#include <algorithm>
#include <bit>
#include <span>
#include <vector>

#include "graph/graph_passes.h"

namespace lathe {
namespace {

// By their bits: this thread may take denormal numbers for zeros.
constexpr uint32_t kSign = 0x80000000;
constexpr uint32_t kLeastNormal = 0x00800000;

bool is_denormal(float value) {
  const uint32_t magnitude = std::bit_cast<uint32_t>(value) & ~kSign;
  return magnitude != 0 && magnitude < kLeastNormal;
}

bool is_divisor(const Graph& graph, ValueId id) {
  const std::vector<NodeId>& users = graph.value(id).users;
  return std::any_of(users.begin(), users.end(), [&](NodeId user) {
    const Node& node = graph.node(user);
    return (node.kind == OpKind::kDiv || node.kind == OpKind::kQuantizeLinear) &&
           node.input(1) == id;
  });
}

Tensor flushed(const Tensor& tensor) {
  const std::span<const float> values = tensor.values<float>();
  std::vector<float> zeroed(values.begin(), values.end());
  for (float& value : zeroed)
    if (is_denormal(value)) value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) & kSign);
  return Tensor::of(tensor.shape(), zeroed);
}

}  // namespace

int flush_denormal_constants(Graph& graph) {
  int changes = 0;
  for (const ValueId id : graph.value_ids()) {
    const Tensor* tensor = graph.constant(id);
    // A single number was written by hand: a bound, or what keeps a divisor from being 0.
    if (tensor == nullptr || tensor->dtype() != DType::kFloat32 || tensor->numel() < 2 ||
        graph.is_output(id) || is_divisor(graph, id))
      continue;
    const std::span<const float> values = tensor->values<float>();
    if (std::none_of(values.begin(), values.end(), is_denormal)) continue;
    graph.set_constant(id, flushed(*tensor));
    ++changes;
  }
  for (const NodeId id : graph.node_ids())
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += flush_denormal_constants(subgraph.graph());
  return changes;
}

}  // namespace lathe
