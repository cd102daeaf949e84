#include <cmath>

#include "graph/channel_scale.h"
#include "passes/passes.h"

namespace lathe {
namespace {

struct Affine {
  std::vector<double> scale;
  std::vector<double> shift;
};

// What the node does to channel c of its input; nullopt when it is no per-channel affine map.
std::optional<Affine> affine_of(const Graph& graph, const Node& node, size_t data_input,
                                int64_t channels, size_t rank) {
  const Tensor* constant = graph.constant(node.input(1 - data_input));
  if (constant == nullptr) return {};
  const auto values = per_channel_values(*constant, channels, rank);
  if (!values) return {};
  Affine affine{std::vector<double>(values->size(), 1.0), std::vector<double>(values->size(), 0.0)};
  for (size_t c = 0; c < values->size(); ++c) {
    const double value = (*values)[c];
    if (!std::isfinite(value)) return {};
    switch (node.kind) {
      case OpKind::kMul: affine.scale[c] = value; break;
      case OpKind::kDiv:
        if (data_input != 0 || value == 0) return {};
        affine.scale[c] = 1.0 / value;
        break;
      case OpKind::kAdd: affine.shift[c] = value; break;
      case OpKind::kSub:
        affine.scale[c] = data_input == 0 ? 1.0 : -1.0;
        affine.shift[c] = data_input == 0 ? -value : value;
        break;
      default: return {};
    }
  }
  return affine;
}

bool fuse_affine(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kMul && node.kind != OpKind::kDiv && node.kind != OpKind::kAdd &&
      node.kind != OpKind::kSub)
    return false;
  for (size_t data_input = 0; data_input < 2; ++data_input) {
    const ValueId input = node.input(data_input);
    if (!input.valid() || graph.constant(input) != nullptr) continue;
    const NodeId producer = graph.value(input).producer;
    if (!producer.valid() || graph.single_user(input) != id) continue;
    const auto channels = affine_channels(graph, graph.node(producer));
    const auto& dims = graph.value(input).type.dims;
    if (!channels || !dims || dims->size() < 2) continue;
    const auto affine = affine_of(graph, node, data_input, *channels, dims->size());
    if (!affine) continue;
    scale_channels(graph, producer, affine->scale, affine->shift);
    supersede(graph, node.outputs[0], input);
    graph.erase_node(id);
    return true;
  }
  return false;
}

}  // namespace

int fuse_channel_affine(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_channel_affine(subgraph.graph());
    changes += fuse_affine(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
