#include "quantize/copy_weights_into_bodies.h"

namespace lathe {

int copy_weights_into_bodies(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.node_ids()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs) {
      Graph& body = subgraph.graph();
      for (size_t i = 0; i < subgraph.captures.size(); ++i) {
        const Tensor* tensor = graph.constant(subgraph.captures[i]);
        const ValueId inner = body.captured()[i];
        // A body's output must be a value that it captures or computes.
        if (tensor == nullptr || tensor->dtype() != DType::kFloat32 || body.is_output(inner) ||
            body.value(inner).users.empty())
          continue;
        body.replace_all_uses(
            inner, body.add_constant(body.value(inner).name + "_inside", *tensor));
        ++changes;
      }
    }
    graph.drop_unused_captures(id);
    // From the outside inwards: what was captured twice over arrives in one go.
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += copy_weights_into_bodies(subgraph.graph());
  }
  return changes;
}

}  // namespace lathe
