#include "graph/graph_passes.h"

namespace lathe {
namespace {

constexpr size_t kMaxBytes = 256;

using Wanted = bool (*)(const Tensor&);

int copy_into(Graph& graph, NodeId id, size_t index, Wanted wanted) {
  int changes = 0;
  Subgraph& subgraph = graph.edit(id).subgraphs[index];
  Graph& body = subgraph.graph();
  for (size_t i = 0; i < subgraph.captures.size(); ++i) {
    const Tensor* tensor = graph.constant(subgraph.captures[i]);
    const ValueId inner = body.captured()[i];
    // A body's output must be a value that it captures or computes.
    if (tensor == nullptr || !wanted(*tensor) || body.is_output(inner) ||
        body.value(inner).users.empty())
      continue;
    body.replace_all_uses(inner, body.add_constant(body.value(inner).name + "_inside", *tensor));
    ++changes;
  }
  return changes;
}

int copy_into_bodies(Graph& graph, Wanted wanted) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    for (size_t i = 0; i < graph.node(id).subgraphs.size(); ++i)
      changes += copy_into(graph, id, i, wanted);
    graph.drop_unused_captures(id);
    // From the outside inwards: what was captured twice over arrives in one go.
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += copy_into_bodies(subgraph.graph(), wanted);
  }
  return changes;
}

}  // namespace

// Sizes, axes and conditions; weights stay where they are, once.
int copy_constants_into_bodies(Graph& graph) {
  return copy_into_bodies(graph, [](const Tensor& tensor) {
    return tensor.dtype() != DType::kString && tensor.bytes().size() <= kMaxBytes;
  });
}

int copy_weights_into_bodies(Graph& graph) {
  return copy_into_bodies(graph,
                          [](const Tensor& tensor) { return tensor.dtype() == DType::kFloat32; });
}

}  // namespace lathe
