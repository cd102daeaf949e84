#include "graph/graph_passes.h"

namespace lathe {
namespace {

// Sizes, axes and conditions; weights stay where they are, once.
constexpr size_t kMaxBytes = 256;

int copy_into(Graph& graph, NodeId id, size_t index) {
  int changes = 0;
  Subgraph& subgraph = graph.edit(id).subgraphs[index];
  Graph& body = subgraph.graph();
  for (size_t i = 0; i < subgraph.captures.size(); ++i) {
    const Tensor* tensor = graph.constant(subgraph.captures[i]);
    const ValueId inner = body.captured()[i];
    // A body's output must be a value that it captures or computes.
    if (tensor == nullptr || tensor->dtype() == DType::kString ||
        tensor->bytes().size() > kMaxBytes || body.is_output(inner) ||
        body.value(inner).users.empty())
      continue;
    const std::string name = body.fresh_name(body.value(inner).name + "_inside");
    body.replace_all_uses(inner, body.add_constant(name, *tensor));
    ++changes;
  }
  return changes;
}

}  // namespace

int copy_constants_into_bodies(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    for (size_t i = 0; i < graph.node(id).subgraphs.size(); ++i) changes += copy_into(graph, id, i);
    graph.drop_unused_captures(id);
    // From the outside inwards: what was captured twice over arrives in one go.
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += copy_constants_into_bodies(subgraph.graph());
  }
  return changes;
}

}  // namespace lathe
