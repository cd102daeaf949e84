#include <algorithm>
#include <set>

#include "graph/channel_scale.h"
#include "graph/graph_passes.h"

namespace lathe {
namespace {

bool is_reduction(OpKind kind) {
  switch (kind) {
    case OpKind::kReduceL1:
    case OpKind::kReduceL2:
    case OpKind::kReduceLogSum:
    case OpKind::kReduceLogSumExp:
    case OpKind::kReduceMax:
    case OpKind::kReduceMean:
    case OpKind::kReduceMin:
    case OpKind::kReduceProd:
    case OpKind::kReduceSum:
    case OpKind::kReduceSumSquare: return true;
    default: return false;
  }
}

std::optional<std::set<size_t>> axes_in(const Graph& graph, ValueId id, size_t rank) {
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || tensor->numel() == 0) return {};
  std::set<size_t> axes;
  for (const int64_t axis : tensor->to_int64()) {
    const int64_t at = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
    if (at < 0 || at >= static_cast<int64_t>(rank)) return {};
    axes.insert(static_cast<size_t>(at));
  }
  return axes;
}

// Whether a Reshape of `dims` to `target` only drops `axes` (each of size 1).
bool drops(const Dims& dims, const std::set<size_t>& axes, const std::vector<int64_t>& target) {
  if (target.size() + axes.size() != dims.size()) return false;
  size_t axis = 0;
  int open = 0;
  for (size_t i = 0; i < target.size(); ++i, ++axis) {
    while (axes.contains(axis)) ++axis;
    if (target[i] == 0 && axis != i) return false;
    if (target[i] > 0 && target[i] != dims[axis].size) return false;
    // The one size that is counted out can only be the one that is left.
    if (target[i] < 0 && ++open > 1) return false;
  }
  return true;
}

bool only_drops(const Graph& graph, const Node& node, const Dims& dims,
                const std::set<size_t>& axes) {
  if (node.kind == OpKind::kSqueeze) {
    const auto squeezed = axes_in(graph, node.input(1), dims.size());
    return squeezed && *squeezed == axes;
  }
  if (node.kind == OpKind::kReshape) {
    const Tensor* target = graph.constant(node.input(1));
    if (target == nullptr || target->rank() != 1) return false;
    const std::vector<int64_t> shape = target->to_int64();
    const bool zero = std::find(shape.begin(), shape.end(), 0) != shape.end();
    return !(zero && node.attributes.int_or("allowzero", 0) != 0) && drops(dims, axes, shape);
  }
  // Flatten at axis 1 of N x C x 1 x 1.
  return node.kind == OpKind::kFlatten && node.attributes.int_or("axis", 1) == 1 &&
         dims.size() == axes.size() + 2 && !axes.contains(0);
}

bool fuse_squeeze(Graph& graph, NodeId id) {
  const Node& reduce = graph.node(id);
  if (!is_reduction(reduce.kind) || reduce.attributes.int_or("keepdims", 1) == 0) return false;
  const ValueId kept = reduce.outputs[0];
  const auto reader = graph.single_user(kept);
  const auto& dims = graph.value(kept).type.dims;
  if (!reader || !dims) return false;
  const auto axes = axes_in(graph, reduce.input(1), dims->size());
  if (!axes || !only_drops(graph, graph.node(*reader), *dims, *axes)) return false;
  graph.edit(id).attributes.set("keepdims", int64_t{0});
  supersede(graph, graph.node(*reader).outputs[0], kept);
  graph.erase_node(*reader);
  return true;
}

}  // namespace

int fuse_reduce_squeeze(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    if (!graph.is_live(id)) continue;
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_reduce_squeeze(subgraph.graph());
    changes += fuse_squeeze(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
