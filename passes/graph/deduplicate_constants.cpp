#include <algorithm>
#include <map>
#include <string_view>

#include "passes/passes.h"

namespace lathe {
namespace {

size_t content_hash(const Tensor& tensor) {
  size_t hash = static_cast<size_t>(tensor.dtype());
  for (const int64_t dim : tensor.shape()) hash = hash * 1000003 + static_cast<size_t>(dim);
  const auto bytes = tensor.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return hash * 1000003 + std::hash<std::string_view>{}(text);
}

// OpenVINO (2026.4) multiplies in floats where the integers of several weights have one zero point.
bool is_zero_of_weight(const Graph& graph, ValueId id) {
  return std::ranges::any_of(graph.value(id).users, [&](NodeId user) {
    const Node& node = graph.node(user);
    return node.kind == OpKind::kDequantizeLinear && node.input(2) == id &&
           graph.constant(node.input(0)) != nullptr;
  });
}

}  // namespace

int deduplicate_constants(Graph& graph) {
  int changes = 0;
  std::map<size_t, std::vector<ValueId>> seen;
  for (const ValueId id : graph.value_ids()) {
    const Tensor* tensor = graph.constant(id);
    // A constant that is a graph output must keep its own name.
    if (tensor == nullptr || tensor->dtype() == DType::kString || graph.is_output(id)) continue;
    if (is_zero_of_weight(graph, id)) continue;
    auto& bucket = seen[content_hash(*tensor)];
    bool merged = false;
    for (const ValueId first : bucket) {
      if (!graph.constant(first)->identical(*tensor)) continue;
      graph.replace_all_uses(id, first);
      graph.erase_value(id);
      ++changes;
      merged = true;
      break;
    }
    if (!merged) bucket.push_back(id);
  }
  for (const NodeId id : graph.node_ids())
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += deduplicate_constants(subgraph.graph());
  return changes;
}

}  // namespace lathe
