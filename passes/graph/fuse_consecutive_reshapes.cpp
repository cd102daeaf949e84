#include <algorithm>

#include "graph/graph_passes.h"

namespace lathe {
namespace {

bool only_renames_axes(OpKind kind) {
  return kind == OpKind::kReshape || kind == OpKind::kFlatten || kind == OpKind::kSqueeze ||
         kind == OpKind::kUnsqueeze;
}

// What Reshape needs to make `wanted` from `source`; nullopt when two dimensions stay open.
std::optional<std::vector<int64_t>> shape_for(const Dims& source, const Dims& wanted) {
  std::vector<int64_t> shape;
  size_t open = 0;
  for (const Dim& dim : wanted) {
    // A 0 would copy, and a -1 beside a dimension of 0 is ambiguous.
    if (dim.size == 0) return {};
    shape.push_back(dim.known() ? dim.size : -1);
    open += dim.known() ? 0 : 1;
  }
  if (open <= 1) return shape;
  if (open > 2) return {};
  for (size_t i = 0; i < std::min(source.size(), wanted.size()); ++i) {
    if (shape[i] != -1 || wanted[i].symbol.empty() || wanted[i] != source[i]) continue;
    shape[i] = 0;
    return shape;
  }
  return {};
}

// Inferred dimensions may rest on what the file declares, which may be wrong: above all at a graph
// output.
std::optional<std::vector<int64_t>> final_shape(const Graph& graph, const Node& last,
                                                ValueId source) {
  if (last.kind == OpKind::kReshape) {
    const Tensor* given = graph.constant(last.input(1));
    if (given != nullptr && given->dtype() == DType::kInt64 && given->rank() == 1) {
      std::vector<int64_t> shape = given->to_int64();
      if (std::find(shape.begin(), shape.end(), 0) == shape.end()) return shape;
    }
  }
  const auto& from = graph.value(source).type.dims;
  const auto& to = graph.value(last.outputs[0]).type.dims;
  if (!from || !to) return {};
  const auto after = static_shape(*to);
  if (!after && graph.is_output(last.outputs[0])) return {};
  // A known size that does not follow from the source's is only declared.
  if (after) {
    const auto before = static_shape(*from);
    if (!before || element_count(*before) != element_count(*after)) return {};
  }
  return shape_for(*from, *to);
}

bool fuse_reshape(Graph& graph, NodeId id) {
  const Node& last = graph.node(id);
  if (!only_renames_axes(last.kind)) return false;
  const ValueId middle = last.inputs[0];
  const NodeId producer = graph.value(middle).producer;
  if (!producer.valid() || graph.single_user(middle) != id) return false;
  if (!only_renames_axes(graph.node(producer).kind)) return false;
  const ValueId source = graph.node(producer).inputs[0];
  const auto shape = final_shape(graph, last, source);
  if (!shape) return false;
  const std::string name = graph.fresh_name(graph.value(last.outputs[0]).name + "_shape");
  const ValueId constant = graph.add_constant(name, Tensor::vector<int64_t>(*shape));
  graph.truncate_inputs(id, 1);
  graph.replace_input(id, 0, source);
  graph.add_node_input(id, constant);
  graph.edit(id).kind = OpKind::kReshape;
  graph.edit(id).attributes = {};
  graph.erase_node(producer);
  return true;
}

}  // namespace

int fuse_consecutive_reshapes(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_consecutive_reshapes(subgraph.graph());
    changes += fuse_reshape(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
