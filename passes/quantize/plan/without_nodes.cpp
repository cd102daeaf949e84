#include "quantize/plan/without_nodes.h"

#include <algorithm>
#include <vector>

#include "layers/linear_layer.h"

namespace lathe {
namespace {

// Inputs that the plan made integer for the node's sake. What the full plan did not quantize is no
// activation (constants, shapes, other types).
std::vector<ValueId> integer_inputs(const Graph& graph, NodeId id, QuantRole role,
                                    const PrecisionPlan& full) {
  const Node& node = graph.node(id);
  const size_t count = role == QuantRole::kMove      ? std::min<size_t>(1, node.inputs.size())
                       : role == QuantRole::kCompute ? std::min<size_t>(2, node.inputs.size())
                                                     : node.inputs.size();
  std::vector<ValueId> found;
  for (size_t i = 0; i < count; ++i)
    if (full.values.contains(node.inputs[i])) found.push_back(node.inputs[i]);
  return found;
}

std::vector<ValueId> integer_outputs(const Graph& graph, NodeId id, QuantRole role) {
  if (role == QuantRole::kMove) return graph.node(id).outputs;
  return {fused_output(graph, id)};
}

class Narrowing {
 public:
  Narrowing(const Graph& graph, const PrecisionPlan& full, const std::set<NodeId>& left)
      : graph_(graph), full_(full), order_(graph.order()) {
    for (const auto& [id, role] : full.nodes)
      if (!left.contains(id)) kept_.emplace(id, role);
  }

  PrecisionPlan run() {
    drop_unfed_followers();
    drop_idle_followers();
    PrecisionPlan plan = full_;
    plan.nodes = kept_;
    const std::set<ValueId> needed = needed_values();
    std::erase_if(plan.values, [&](const auto& entry) { return !needed.contains(entry.first); });
    std::erase_if(plan.ranges, [&](const auto& entry) { return !needed.contains(entry.first); });
    for (auto* group : {&plan.weights, &plan.biases})
      std::erase_if(*group, [&](const WeightPlan& row) { return !kept_.contains(row.node); });
    return plan;
  }

 private:
  // A follower stays when everything that it reads is integer for another node's sake.
  void drop_unfed_followers() {
    std::set<ValueId> integer;
    const auto add = [&](NodeId id, QuantRole role) {
      for (const ValueId value : integer_inputs(graph_, id, role, full_)) integer.insert(value);
      for (const ValueId value : integer_outputs(graph_, id, role)) integer.insert(value);
    };
    for (const auto& [id, role] : kept_)
      if (role == QuantRole::kCompute) add(id, role);
    for (const NodeId id : order_) {
      const auto found = kept_.find(id);
      if (found == kept_.end() || found->second == QuantRole::kCompute) continue;
      const std::vector<ValueId> inputs = integer_inputs(graph_, id, found->second, full_);
      const bool fed = std::all_of(inputs.begin(), inputs.end(),
                                   [&](ValueId value) { return integer.contains(value); });
      if (fed)
        add(id, found->second);
      else
        kept_.erase(found);
    }
  }

  bool read_by_integer_node(ValueId id) const {
    const auto& users = graph_.value(id).users;
    return std::any_of(users.begin(), users.end(),
                       [&](NodeId user) { return kept_.contains(user); });
  }

  void drop_idle_followers() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const auto found = kept_.find(*it);
      if (found == kept_.end() || found->second == QuantRole::kCompute) continue;
      const std::vector<ValueId> outputs = integer_outputs(graph_, *it, found->second);
      const bool used = std::any_of(outputs.begin(), outputs.end(), [&](ValueId output) {
        return output.valid() && read_by_integer_node(output);
      });
      if (!used) kept_.erase(found);
    }
  }

  std::set<ValueId> needed_values() const {
    std::set<ValueId> needed;
    for (const auto& [id, role] : kept_) {
      for (const ValueId value : integer_inputs(graph_, id, role, full_)) needed.insert(value);
      const bool float_output = full_.float_outputs.contains(graph_.node(id).kind);
      for (const ValueId value : integer_outputs(graph_, id, role))
        if (value.valid() && (!float_output || read_by_integer_node(value))) needed.insert(value);
    }
    return needed;
  }

  const Graph& graph_;
  const PrecisionPlan& full_;
  std::vector<NodeId> order_;
  std::map<NodeId, QuantRole> kept_;
};

void except(const Graph& graph, const std::set<NodeId>& planned, const std::set<NodeId>& left,
            const std::string& reason, std::vector<PlanException>& exceptions) {
  for (const NodeId id : left) {
    if (!planned.contains(id)) continue;
    const Node& node = graph.node(id);
    exceptions.push_back({node.name, std::string(node.type_name()), reason});
  }
}

}  // namespace

PrecisionPlan without_nodes(const Graph& graph, const PrecisionPlan& plan,
                            const std::set<NodeId>& left_in_float, const std::string& reason) {
  PrecisionPlan narrowed = Narrowing(graph, plan, left_in_float).run();
  std::set<NodeId> planned;
  for (const auto& [id, role] : plan.nodes) planned.insert(id);
  except(graph, planned, left_in_float, reason, narrowed.exceptions);
  return narrowed;
}

WeightStoragePlan without_nodes(const Graph& graph, WeightStoragePlan plan,
                                const std::set<NodeId>& left_in_float, const std::string& reason) {
  except(graph, planned_nodes(plan), left_in_float, reason, plan.exceptions);
  for (StoredWeight& weight : plan.weights)
    std::erase_if(weight.readers,
                  [&](const auto& reader) { return left_in_float.contains(reader.first); });
  std::erase_if(plan.weights, [](const StoredWeight& weight) { return weight.readers.empty(); });
  std::erase_if(plan.bodies,
                [&](const auto& body) { return left_in_float.contains(body.first.first); });
  return plan;
}

DynamicPlan without_nodes(const Graph& graph, DynamicPlan plan,
                          const std::set<NodeId>& left_in_float, const std::string& reason) {
  except(graph, planned_nodes(plan), left_in_float, reason, plan.exceptions);
  std::erase_if(plan.nodes, [&](NodeId id) { return left_in_float.contains(id); });
  std::erase_if(plan.bodies,
                [&](const auto& body) { return left_in_float.contains(body.first.first); });
  return plan;
}

std::set<NodeId> planned_nodes(const WeightStoragePlan& plan) {
  std::set<NodeId> nodes;
  for (const StoredWeight& weight : plan.weights)
    for (const auto& [id, input] : weight.readers) nodes.insert(id);
  for (const auto& [place, body] : plan.bodies) nodes.insert(place.first);
  return nodes;
}

std::set<NodeId> planned_nodes(const DynamicPlan& plan) {
  std::set<NodeId> nodes(plan.nodes.begin(), plan.nodes.end());
  for (const auto& [place, body] : plan.bodies) nodes.insert(place.first);
  return nodes;
}

int restore_float_layers(Graph& rounded, const Graph& reference, const std::set<NodeId>& nodes) {
  int changes = 0;
  const auto restore = [&](NodeId id, size_t input) {
    const Tensor* kept = reference.constant(reference.node(id).input(input));
    const Node& node = rounded.node(id);
    if (input >= node.inputs.size()) return;
    if (kept == nullptr) {
      // A bias that only rounding brought, where none was or one was named empty.
      if (input + 1 == node.inputs.size() && !reference.node(id).input(input).valid())
        rounded.truncate_inputs(id, input);
      return;
    }
    const std::string name = reference.value(reference.node(id).input(input)).name;
    rounded.replace_input(id, input, rounded.add_constant(rounded.fresh_name(name), *kept));
  };
  for (const NodeId id : nodes) {
    const auto layer = linear_layer(rounded, id);
    if (!layer) continue;
    const std::vector<ValueId> inputs = rounded.node(id).inputs;
    const auto at = std::find(inputs.begin(), inputs.end(), layer->weight);
    restore(id, static_cast<size_t>(at - inputs.begin()));
    if (layer->bias_node.valid()) restore(layer->bias_node, layer->bias_input);
    ++changes;
  }
  return changes;
}

}  // namespace lathe
