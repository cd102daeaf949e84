#include <cmath>

#include "graph/channel_scale.h"
#include "passes/passes.h"

namespace lathe {
namespace {

// scale, bias, mean and variance as doubles; empty when one is not a constant of `channels` values.
std::vector<std::vector<double>> parameters(const Graph& graph, const Node& node,
                                            int64_t channels) {
  std::vector<std::vector<double>> found;
  for (size_t i = 1; i <= 4; ++i) {
    const Tensor* constant = graph.constant(node.input(i));
    if (constant == nullptr || constant->numel() != channels) return {};
    found.push_back(constant->to_double());
  }
  return found;
}

bool only_first_output(const Graph& graph, const Node& node) {
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i].valid() &&
        (!graph.value(node.outputs[i]).users.empty() || graph.is_output(node.outputs[i])))
      return false;
  return true;
}

bool fuse_norm(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kBatchNormalization || node.attributes.int_or("training_mode", 0) != 0 ||
      !only_first_output(graph, node))
    return false;
  const ValueId input = node.input(0);
  const NodeId producer = graph.value(input).producer;
  if (!producer.valid() || graph.single_user(input) != id) return false;
  const auto channels = affine_channels(graph, graph.node(producer));
  if (!channels) return false;
  const auto params = parameters(graph, node, *channels);
  if (params.empty()) return false;
  const double epsilon = node.attributes.float_or("epsilon", 1e-5f);
  std::vector<double> scale;
  std::vector<double> shift;
  for (size_t c = 0; c < static_cast<size_t>(*channels); ++c) {
    const double deviation = std::sqrt(params[3][c] + epsilon);
    // A negative or zero variance makes the op itself NaN or infinite: not ours to hide.
    if (!(deviation > 0) || !std::isfinite(deviation)) return false;
    scale.push_back(params[0][c] / deviation);
    shift.push_back(params[1][c] - params[2][c] * scale.back());
  }
  scale_channels(graph, producer, scale, shift);
  supersede(graph, node.outputs[0], input);
  graph.erase_node(id);
  return true;
}

}  // namespace

int fuse_batch_norm(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_batch_norm(subgraph.graph());
    changes += fuse_norm(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
