#include "quantize/equalize/equalize_channels.h"

#include "ir/error.h"
#include "ir/real_tensor.h"
#include "quantize/equalize/weight_channels.h"

namespace lathe {
namespace {

using Factors = std::vector<double>;

struct Input {
  NodeId node;
  size_t index;
  auto operator<=>(const Input&) const = default;
};

// New constants in double until all classes are through: a weight between two classes is scaled
// twice and rounded once.
class Scaling {
 public:
  explicit Scaling(Graph& graph) : graph_(graph) {}

  void produce(NodeId id, const Factors& factors) {
    const Node& node = graph_.node(id);
    if (const auto shape = weight_channels(graph_, node)) {
      Constant& weight = constant({id, 1});
      for (size_t i = 0; i < weight.values.size(); ++i)
        weight.values[i] *= factors.at(static_cast<size_t>(shape->output(static_cast<int64_t>(i))));
      if (node.input(2).valid()) by_channel({id, 2}, 2, 1, factors);
    } else if (node.kind == OpKind::kMul) {
      operand(id, 0, factors);
    } else {
      by_channel({id, 1}, 1, 0, factors);
      if (node.input(2).valid()) by_channel({id, 2}, 1, 0, factors);
    }
  }

  void consume(NodeId id, const Factors& factors) {
    Factors inverse;
    for (const double factor : factors) inverse.push_back(1 / factor);
    const auto shape = weight_channels(graph_, graph_.node(id));
    if (!shape) return operand(id, 0, inverse);
    Constant& weight = constant({id, 1});
    for (size_t i = 0; i < weight.values.size(); ++i)
      weight.values[i] *= inverse.at(static_cast<size_t>(shape->input(static_cast<int64_t>(i))));
  }

  // The constant of a Mul (which has one number a channel already), or of an Add or Sub.
  void operand(NodeId id, int64_t axis, const Factors& factors) {
    const Node& node = graph_.node(id);
    const auto index = static_cast<size_t>(constant_operand(graph_, node));
    const auto rank = static_cast<int64_t>(graph_.value(node.output(0)).type.dims->size());
    by_channel({id, index}, rank, axis, factors);
  }

  int store() {
    std::set<NodeId> changed;
    for (auto& [input, scaled] : constants_) {
      const ValueId old = graph_.node(input.node).inputs[input.index];
      const ValueId fresh =
          graph_.add_constant(graph_.fresh_name(graph_.value(old).name + "_equalized"),
                              real_tensor(DType::kFloat32, scaled.shape, scaled.values));
      graph_.replace_input(input.node, input.index, fresh);
      changed.insert(input.node);
    }
    return static_cast<int>(changed.size());
  }

 private:
  struct Constant {
    Shape shape;
    std::vector<double> values;
  };

  Constant& constant(Input input) {
    const auto it = constants_.find(input);
    if (it != constants_.end()) return it->second;
    const Tensor* old = graph_.constant(graph_.node(input.node).inputs.at(input.index));
    if (old == nullptr) throw InternalError("equalize_channels: an input is no constant");
    return constants_[input] = {old->shape(), old->to_double()};
  }

  // One number a channel. A single number for all is spread out along `axis` of `rank` first.
  void by_channel(Input input, int64_t rank, int64_t axis, const Factors& factors) {
    Constant& held = constant(input);
    if (held.values.size() == 1 && factors.size() != 1) {
      held.values.assign(factors.size(), held.values[0]);
      held.shape.assign(static_cast<size_t>(rank - axis), 1);
      held.shape[0] = static_cast<int64_t>(factors.size());
    }
    if (held.values.size() != factors.size())
      throw InternalError("equalize_channels: a constant has another number of channels");
    for (size_t c = 0; c < factors.size(); ++c) held.values[c] *= factors[c];
  }

  Graph& graph_;
  std::map<Input, Constant> constants_;
};

int64_t axis_of(const ScaleClass& members, ValueId value) {
  for (const ScaledValue& member : members.values)
    if (member.value == value) return member.axis;
  throw InternalError("equalize_channels: a value is not in its class");
}

}  // namespace

int equalize_channels(Graph& graph, const EqualizationPlan& plan) {
  Scaling scaling(graph);
  for (const ClassScales& scaled : plan.classes) {
    const ScaleClass& members = scaled.members;
    for (const NodeId id : members.producers) scaling.produce(id, scaled.factors);
    for (const NodeId id : members.consumers) scaling.consume(id, scaled.factors);
    for (const NodeId id : members.offsets)
      scaling.operand(id, axis_of(members, graph.node(id).output(0)), scaled.factors);
  }
  return scaling.store();
}

}  // namespace lathe
