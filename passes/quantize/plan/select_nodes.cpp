#include <algorithm>

#include "ops/activation_fusion.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {
namespace {

bool is_compute(OpKind kind) {
  return kind == OpKind::kConv || kind == OpKind::kConvTranspose || kind == OpKind::kGemm ||
         kind == OpKind::kMatMul;
}

// Inputs that carry activations: not constants, not shapes or indices.
std::vector<size_t> activation_inputs(const Graph& graph, const Node& node, QuantRole role) {
  std::vector<size_t> found;
  const size_t count = role == QuantRole::kMove      ? std::min<size_t>(1, node.inputs.size())
                       : role == QuantRole::kCompute ? std::min<size_t>(2, node.inputs.size())
                                                     : node.inputs.size();
  for (size_t i = 0; i < count; ++i)
    if (node.inputs[i].valid() && graph.constant(node.inputs[i]) == nullptr) found.push_back(i);
  return found;
}

class Selector {
 public:
  Selector(const Graph& graph, const IntegerRules& rules)
      : graph_(graph), rules_(rules), order_(graph.order()) {}

  PrecisionPlan run() {
    plan_.float_outputs = rules_.float_outputs;
    for (const NodeId id : order_)
      if (is_compute(graph_.node(id).kind)) consider_compute(id);
    if (rules_.weight_only) return std::move(plan_);
    for (const NodeId id : order_) consider_follower(id);
    drop_idle_followers();
    collect_values();
    return std::move(plan_);
  }

 private:
  void except(const Node& node, std::string reason) {
    plan_.exceptions.push_back({node.name, std::string(node.type_name()), std::move(reason)});
  }

  void add(NodeId id, QuantRole role) {
    plan_.nodes[id] = role;
    const Node& node = graph_.node(id);
    for (const size_t i : activation_inputs(graph_, node, role)) integer_.insert(node.inputs[i]);
    if (role == QuantRole::kMove) {
      for (const ValueId output : node.outputs)
        if (output.valid() && is_float32(graph_, output)) integer_.insert(output);
    } else {
      integer_.insert(fused_output(graph_, id));
    }
  }

  // Empty when the node's weight can be of integers.
  std::string weight_obstacle(const Node& node) const {
    if (!is_float32(graph_, node.inputs[1])) return "its weight is not a float32 value";
    const bool may_be_computed = node.kind == OpKind::kMatMul && !rules_.weight_only;
    if (graph_.constant(node.inputs[1]) == nullptr && !may_be_computed)
      return "its weight is computed";
    if (dequantizer(graph_, node.inputs[1]) != nullptr) return "its weight is integer already";
    return {};
  }

  // Empty when the node may be quantized.
  std::string compute_obstacle(const Node& node) const {
    if (!rules_.ops.contains(node.kind))
      return "the profile has no integer " + std::string(node.type_name());
    if (rules_.selected && !rules_.selected(node)) return "excluded by name";
    if (node.inputs.size() < 2 || !is_float32(graph_, node.inputs[0]))
      return "its input is not float32";
    if (graph_.constant(node.inputs[0]) != nullptr) return "its first input is a constant";
    std::string obstacle = weight_obstacle(node);
    if (!obstacle.empty() || rules_.weight_only) return obstacle;
    if (node.input(2).valid() && graph_.constant(node.input(2)) == nullptr)
      return "its bias is computed";
    if (node.input(2).valid() && !is_float32(graph_, node.inputs[2]))
      return "its bias is not float32";
    if (node.kind == OpKind::kGemm &&
        (node.attributes.float_or("alpha", 1) != 1 || node.attributes.float_or("beta", 1) != 1))
      return "alpha or beta is not 1";
    return {};
  }

  void consider_compute(NodeId id) {
    const Node& node = graph_.node(id);
    const std::string obstacle = compute_obstacle(node);
    if (obstacle.empty())
      add(id, QuantRole::kCompute);
    else
      except(node, obstacle);
  }

  // Relu and Clip that belong to the node before them.
  bool is_fused_activation(const Node& node) const {
    if (!clamp_of(graph_, node)) return false;
    const NodeId producer = graph_.value(node.input(0)).producer;
    if (!producer.valid()) return false;
    const auto it = plan_.nodes.find(producer);
    return it != plan_.nodes.end() && it->second != QuantRole::kMove &&
           fused_output(graph_, producer) == node.output(0);
  }

  void consider_follower(NodeId id) {
    const Node& node = graph_.node(id);
    if (plan_.nodes.contains(id) || is_compute(node.kind) || node.outputs.empty()) return;
    const bool activation = clamp_of(graph_, node).has_value();
    if (activation && is_fused_activation(node)) return;
    const bool move = op_row(node.kind).keeps_quantization && rules_.moves.contains(node.kind);
    if (!move && !activation && !rules_.ops.contains(node.kind)) return;
    const QuantRole role = move ? QuantRole::kMove : QuantRole::kFollow;
    if (node.input(0).valid() && !is_float32(graph_, node.input(0))) return;
    const std::vector<size_t> inputs =
        activation ? std::vector<size_t>{0} : activation_inputs(graph_, node, role);
    const bool all_activations =
        role == QuantRole::kMove || activation || inputs.size() == node.inputs.size();
    if (inputs.empty() || !all_activations) return;
    const bool fed = std::all_of(inputs.begin(), inputs.end(),
                                 [&](size_t i) { return integer_.contains(node.inputs[i]); });
    if (!fed) return;
    if (rules_.selected && !rules_.selected(node)) return except(node, "excluded by name");
    add(id, role);
  }

  bool read_by_integer_node(ValueId id) const {
    const auto& users = graph_.value(id).users;
    return std::any_of(users.begin(), users.end(),
                       [&](NodeId user) { return plan_.nodes.contains(user); });
  }

  // Following and moving are worth a QuantizeLinear only on the way to integer arithmetic: behind
  // the last convolution (detection heads, softmax scores) they would only cost precision.
  void drop_idle_followers() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const auto found = plan_.nodes.find(*it);
      if (found == plan_.nodes.end() || found->second == QuantRole::kCompute) continue;
      std::vector<ValueId> outputs = graph_.node(*it).outputs;
      if (found->second == QuantRole::kFollow) outputs = {fused_output(graph_, *it)};
      const bool used = std::any_of(outputs.begin(), outputs.end(), [&](ValueId output) {
        return output.valid() && read_by_integer_node(output);
      });
      if (!used) plan_.nodes.erase(found);
    }
  }

  void collect_values() {
    for (const auto& [id, role] : plan_.nodes) {
      const Node& node = graph_.node(id);
      for (const size_t i : activation_inputs(graph_, node, role))
        if (is_float32(graph_, node.inputs[i])) plan_.values[node.inputs[i]];
      if (role == QuantRole::kMove) {
        for (const ValueId output : node.outputs)  // MaxPool's second one holds indices
          if (output.valid() && is_float32(graph_, output)) plan_.values[output];
        continue;
      }
      // An output that only float nodes read keeps its precision where the runtime can give floats.
      const ValueId output = fused_output(graph_, id);
      const bool float_output = rules_.float_outputs.contains(node.kind);
      if (!float_output || read_by_integer_node(output)) plan_.values[output];
    }
  }

  const Graph& graph_;
  const IntegerRules& rules_;
  std::vector<NodeId> order_;
  std::set<ValueId> integer_;  // values that are integers already for another node's sake
  PrecisionPlan plan_;
};

}  // namespace

bool is_float32(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  return type.is_tensor() && type.dtype == DType::kFloat32;
}

PrecisionPlan select_nodes(const Graph& graph, const IntegerRules& rules) {
  return Selector(graph, rules).run();
}

CalibrationTargets calibration_targets(const Graph& graph, const PrecisionPlan& selection) {
  CalibrationTargets targets;
  for (const auto& [id, params] : selection.values) {
    const NodeId producer = graph.value(id).producer;
    const auto it = selection.nodes.find(producer);
    // What a moving node writes has the parameters of what it reads.
    if (it == selection.nodes.end() || it->second != QuantRole::kMove) targets.ranges.insert(id);
  }
  for (const auto& [id, role] : selection.nodes) {
    const Node& node = graph.node(id);
    // The channel axis of Conv's and (untransposed) Gemm's input is 1.
    const bool plain = node.kind == OpKind::kConv ||
                       (node.kind == OpKind::kGemm && node.attributes.int_or("transA", 0) == 0);
    if (role == QuantRole::kCompute && plain) targets.means[node.inputs[0]] = 1;
  }
  return targets;
}

}  // namespace lathe
