#include <algorithm>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"
#include "graph/symbolic_shapes.h"

namespace lathe {
namespace {

bool same_size(const Dim& dim, const Element& element) {
  if (dim.known()) return element.number == dim.size;
  return !element.number && element.symbol == dim.symbol;
}

// What Reshape takes for `target`: 0 copies an axis, one -1 is found by counting; nullopt when
// more than one element stays open.
std::optional<std::vector<int64_t>> constant_target(const SymbolicShapes& shapes, const Node& node,
                                                    const Elements& target) {
  const auto& data = shapes.dims_of(node.inputs[0]);
  const auto& result = shapes.dims_of(node.outputs[0]);
  const bool zero_is_size = node.attributes.int_or("allowzero", 0) != 0;
  std::vector<int64_t> shape;
  for (size_t i = 0; i < target.size(); ++i) {
    const Element& element = target[i];
    if (element.number == 0 && zero_is_size) return {};
    if (element.number)
      shape.push_back(*element.number);
    else if (data && i < data->size() && same_size((*data)[i], element))
      shape.push_back(0);
    else
      shape.push_back(-1);
  }
  if (std::count(shape.begin(), shape.end(), -1) > 1 && result && result->size() == shape.size())
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] == -1 && (*result)[i].size > 0) shape[i] = (*result)[i].size;
  if (std::count(shape.begin(), shape.end(), -1) > 1) return {};
  return shape;
}

ValueId add_shape(Graph& graph, NodeId id, const std::vector<int64_t>& shape) {
  const std::string stem = graph.value(graph.node(id).outputs[0]).name;
  return graph.add_constant(graph.fresh_name(stem + "_shape"), Tensor::vector<int64_t>(shape));
}

bool fold_reshape(Graph& graph, NodeId id, const SymbolicShapes& shapes) {
  const Node& node = graph.node(id);
  if (graph.constant(node.input(1)) != nullptr) return false;
  const auto target = shapes.elements_of(graph, node.input(1));
  if (!target) return false;
  const auto shape = constant_target(shapes, node, *target);
  if (!shape) return false;
  graph.replace_input(id, 1, add_shape(graph, id, *shape));
  graph.edit(id).attributes.erase("allowzero");
  return true;
}

bool fold_expand(Graph& graph, NodeId id, const SymbolicShapes& shapes) {
  const Node& node = graph.node(id);
  const auto& data = shapes.dims_of(node.inputs[0]);
  const auto target = shapes.elements_of(graph, node.input(1));
  if (!data || !target) return false;
  std::vector<int64_t> shape;
  bool expands = target->size() > data->size();
  for (size_t i = 0; i < target->size(); ++i) {
    const Element& element = (*target)[i];
    const size_t missing = target->size() - std::min(target->size(), data->size());
    const bool kept =
        i >= missing &&
        (element.number == 1 || same_size((*data)[data->size() - target->size() + i], element));
    if (!kept && !element.number) return false;
    shape.push_back(kept ? 1 : *element.number);
    expands |= !kept;
  }
  const ValueId output = node.outputs[0];
  if (!expands && may_redirect(graph, output, node.inputs[0])) {
    graph.replace_all_uses_keeping_output_name(output, node.inputs[0]);
    graph.erase_node(id);
    return true;
  }
  if (graph.constant(node.input(1)) != nullptr) return false;
  graph.replace_input(id, 1, add_shape(graph, id, shape));
  return true;
}

bool fold_one(Graph& graph, NodeId id, const SymbolicShapes& shapes) {
  if (graph.node(id).kind == OpKind::kReshape) return fold_reshape(graph, id, shapes);
  return graph.node(id).kind == OpKind::kExpand && fold_expand(graph, id, shapes);
}

}  // namespace

int fold_reshape_targets(Graph& graph) {
  int changes = 0;
  bool needed = false;
  for (const NodeId id : graph.node_ids()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fold_reshape_targets(subgraph.graph());
    const Node& node = graph.node(id);
    needed |= node.kind == OpKind::kExpand ||
              (node.kind == OpKind::kReshape && graph.constant(node.input(1)) == nullptr);
  }
  if (!needed) return changes;
  // An edit leaves all sizes what they are, so one look serves every node.
  const SymbolicShapes shapes = symbolic_shapes(graph);
  for (const NodeId id : graph.order()) changes += fold_one(graph, id, shapes) ? 1 : 0;
  return changes;
}

}  // namespace lathe
