#include <algorithm>

#include "graph/graph_passes.h"
#include "recognize/permutation.h"

namespace lathe {
namespace {

bool renames_axes(OpKind kind) {
  return kind == OpKind::kReshape || kind == OpKind::kFlatten || kind == OpKind::kSqueeze ||
         kind == OpKind::kUnsqueeze;
}

// All axes longer than 1 stay in their order: no element moves.
bool moves_nothing(const Dims& dims, const Permutation& perm) {
  int64_t last = -1;
  for (const int64_t axis : perm) {
    if (dims[static_cast<size_t>(axis)].size == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

// A Reshape in its place is worth it only where another one takes it in.
bool has_reshaping_neighbour(const Graph& graph, const Node& node) {
  const NodeId producer = graph.value(node.inputs[0]).producer;
  if (producer.valid() && renames_axes(graph.node(producer).kind) &&
      graph.single_user(node.inputs[0]))
    return true;
  const auto reader = graph.single_user(node.outputs[0]);
  return reader && renames_axes(graph.node(*reader).kind);
}

std::optional<std::vector<int64_t>> target_of(const Dims& dims, const Permutation& perm) {
  std::vector<int64_t> target;
  for (size_t i = 0; i < perm.size(); ++i) {
    const Dim& dim = dims[static_cast<size_t>(perm[i])];
    if (dim.size == 0) return {};
    target.push_back(dim.known() ? dim.size : perm[i] == static_cast<int64_t>(i) ? 0 : -1);
  }
  if (std::count(target.begin(), target.end(), -1) > 1) return {};
  return target;
}

bool replace_one(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const auto perm = permutation_of(graph, node);
  if (!perm || is_identity(*perm) || !has_reshaping_neighbour(graph, node)) return false;
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  if (!dims || dims->size() != perm->size() || !moves_nothing(*dims, *perm)) return false;
  const auto target = target_of(*dims, *perm);
  if (!target) return false;
  const std::string name = graph.fresh_name(graph.value(node.outputs[0]).name + "_shape");
  const ValueId shape = graph.add_constant(name, Tensor::vector<int64_t>(*target));
  graph.add_node_input(id, shape);
  graph.edit(id).kind = OpKind::kReshape;
  graph.edit(id).attributes = {};
  return true;
}

}  // namespace

int replace_trivial_transposes(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += replace_trivial_transposes(subgraph.graph());
    changes += replace_one(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
