#include <map>
#include <set>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

std::optional<size_t> chosen_branch(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kIf) return {};
  const Tensor* condition = graph.constant(node.input(0));
  if (condition == nullptr || condition->dtype() != DType::kBool || condition->numel() != 1)
    return {};
  const std::string_view wanted = condition->to_int64()[0] != 0 ? "then_branch" : "else_branch";
  for (size_t i = 0; i < node.subgraphs.size(); ++i)
    if (node.subgraphs[i].attribute == wanted) return i;
  return {};
}

std::string unique_node_name(const std::string& name, std::set<std::string>& taken) {
  std::string candidate = name;
  for (int i = 1; !candidate.empty() && !taken.insert(candidate).second; ++i)
    candidate = name + "_" + std::to_string(i);
  return candidate;
}

// Copies values and nodes of `body` into `graph`; returns what each inner value became.
std::map<ValueId, ValueId> paste(Graph& graph, const Graph& body,
                                 const std::vector<ValueId>& captures) {
  std::map<ValueId, ValueId> outer;
  for (size_t i = 0; i < captures.size(); ++i) outer[body.captured()[i]] = captures[i];
  for (const ValueId id : body.value_ids()) {
    const Value& value = body.value(id);
    if (outer.contains(id)) continue;
    if (value.constant)
      outer[id] = graph.add_constant(value.name, *value.constant);
    else
      outer[id] = graph.add_value(value.name, value.type);
  }
  std::set<std::string> taken;
  for (const NodeId id : graph.node_ids()) taken.insert(graph.node(id).name);
  const auto moved = [&](ValueId& id) {
    if (id.valid()) id = outer.at(id);
  };
  for (const NodeId id : body.order()) {
    Node node = body.node(id);
    node.name = unique_node_name(node.name, taken);
    for (ValueId& input : node.inputs) moved(input);
    for (ValueId& output : node.outputs) moved(output);
    for (Subgraph& subgraph : node.subgraphs)
      for (ValueId& capture : subgraph.captures) moved(capture);
    graph.add_node(std::move(node));
  }
  return outer;
}

bool inline_one(Graph& graph, NodeId id) {
  const auto branch = chosen_branch(graph, graph.node(id));
  if (!branch) return false;
  const Subgraph chosen = graph.node(id).subgraphs[*branch];
  const std::map<ValueId, ValueId> outer = paste(graph, chosen.graph(), chosen.captures);
  const std::vector<ValueId> outputs = graph.node(id).outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid()) continue;
    ValueId result = outer.at(chosen.graph().outputs()[i]);
    // A graph output needs a value of its own.
    if (!may_redirect(graph, outputs[i], result)) {
      const ValueId copy = graph.add_op(OpKind::kIdentity, {result},
                                        graph.fresh_name(graph.value(outputs[i]).name + "_copy"));
      graph.edit_type(copy) = graph.value(result).type;
      result = copy;
    }
    graph.replace_all_uses_keeping_output_name(outputs[i], result);
  }
  graph.erase_node(id);
  return true;
}

}  // namespace

int inline_constant_if(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += inline_constant_if(subgraph.graph());
    changes += inline_one(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
