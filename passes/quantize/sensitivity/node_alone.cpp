#include "quantize/sensitivity/node_alone.h"

#include <map>
#include <utility>

namespace lathe {

NodeAlone node_alone(const Graph& graph, NodeId id) {
  NodeAlone alone;
  alone.node = id;
  std::map<ValueId, ValueId> copies;
  const auto copy = [&](ValueId outer) {
    if (!outer.valid()) return outer;
    ValueId& found = copies[outer];
    if (found.valid()) return found;
    const Value& value = graph.value(outer);
    if (value.constant) return found = alone.graph.add_constant(value.name, *value.constant);
    alone.inputs.push_back(outer);
    found = alone.graph.add_input(value.name, value.type);
    if (graph.is_input(outer) || !value.type.is_tensor()) return found;
    found = alone.graph.add_op(OpKind::kIdentity, {found},
                               alone.graph.fresh_name(value.name + "_read"));
    alone.graph.edit_type(found) = value.type;
    return found;
  };
  Node node = graph.node(id);
  for (ValueId& input : node.inputs) input = copy(input);
  for (Subgraph& subgraph : node.subgraphs)
    for (ValueId& capture : subgraph.captures) capture = copy(capture);
  std::vector<ValueId> outputs;
  for (ValueId& output : node.outputs) {
    if (!output.valid()) continue;
    output = alone.graph.add_value(graph.value(output).name, graph.value(output).type);
    outputs.push_back(output);
  }
  alone.graph.add_node(std::move(node));
  alone.graph.set_outputs(std::move(outputs));
  return alone;
}

}  // namespace lathe
