#include <algorithm>
#include <limits>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"
#include "ir/real_tensor.h"
#include "ops/activation_fusion.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

ValueId bound_constant(Graph& graph, NodeId id, const char* name, double bound, DType dtype) {
  if (bound == -kInfinity || bound == kInfinity) return {};
  const std::string stem = graph.value(graph.node(id).outputs[0]).name;
  return graph.add_constant(graph.fresh_name(stem + name), real_tensor(dtype, {}, {bound}));
}

// Turns the node into a clamp of `source`.
void make_clamp(Graph& graph, NodeId id, ValueId source, ActivationBounds bounds) {
  const DType dtype = graph.value(source).type.dtype;
  graph.truncate_inputs(id, 1);
  graph.replace_input(id, 0, source);
  graph.edit(id).attributes = {};
  graph.edit(id).kind = bounds == ActivationBounds{0, kInfinity} ? OpKind::kRelu : OpKind::kClip;
  if (graph.node(id).kind == OpKind::kRelu) return;
  const ValueId low = bound_constant(graph, id, "_min", bounds.low, dtype);
  const ValueId high = bound_constant(graph, id, "_max", bounds.high, dtype);
  if (low.valid() || high.valid()) graph.add_node_input(id, low);
  if (high.valid()) graph.add_node_input(id, high);
}

bool merge_one(Graph& graph, NodeId id) {
  const Node& second = graph.node(id);
  const auto outer = clamp_of(graph, second);
  if (!outer) return false;
  const ValueId middle = second.inputs[0];
  const NodeId producer = graph.value(middle).producer;
  if (!producer.valid()) return false;
  const auto inner = clamp_of(graph, graph.node(producer));
  if (!inner || !is_floating(graph.value(middle).type.dtype)) return false;
  const ActivationBounds both{std::clamp(inner->low, outer->low, outer->high),
                              std::clamp(inner->high, outer->low, outer->high)};
  const ValueId source = graph.node(producer).inputs[0];
  if (both == *inner && may_redirect(graph, second.outputs[0], middle)) {
    graph.replace_all_uses_keeping_output_name(second.outputs[0], middle);
    graph.erase_node(id);
    return true;
  }
  // With other readers the first stays, and nothing would be won.
  if (graph.single_user(middle) != id) return false;
  if (both == *outer)
    graph.replace_input(id, 0, source);
  else
    make_clamp(graph, id, source, both);
  graph.erase_node(producer);
  return true;
}

}  // namespace

int merge_activations(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += merge_activations(subgraph.graph());
    changes += merge_one(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
