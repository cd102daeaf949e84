#include "distill/fresh_student.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "ir/error.h"
#include "ir/real_tensor.h"
#include "ops/op_row.h"
#include "train/initial_values.h"
#include "train/parameters.h"

namespace lathe {
namespace {

using K = OpKind;

constexpr double kEmbeddingDeviation = 0.02;
constexpr double kPReluSlope = 0.25;
// That are looked at between a product and its activation.
constexpr size_t kNearValues = 16;

bool is_recurrent(OpKind kind) { return kind == K::kLSTM || kind == K::kGRU || kind == K::kRNN; }

// Slope below 0 of what lets only the positive half pass as it is; nullopt: no such function.
std::optional<double> rectifier_slope(const Graph& graph, const Node& node) {
  switch (node.kind) {
    case K::kLeakyRelu: return parameter_of(node, 0);
    case K::kPRelu: return kPReluSlope;
    case K::kClip: {
      const Tensor* low = graph.constant(node.input(1));
      if (low == nullptr || low->numel() != 1) return std::nullopt;
      return low->to_double()[0] == 0 ? std::optional(0.0) : std::nullopt;
    }
    case K::kSelu: return std::nullopt;  // keeps the size of a signal by itself
    case K::kSoftplus: return 0.0;
    default: return op_row(node.kind).rectifies ? std::optional(0.0) : std::nullopt;
  }
}

// Nodes that neither change the size of a signal much nor end it.
bool passes_on(OpKind kind) {
  switch (kind) {
    case K::kAdd:
    case K::kSub:
    case K::kSum:
    case K::kConcat:
    case K::kIdentity:
    case K::kDropout:
    case K::kCast:
    case K::kReshape:
    case K::kFlatten:
    case K::kSqueeze:
    case K::kUnsqueeze:
    case K::kTranspose:
    case K::kPad:
    case K::kMaxPool:
    case K::kDepthToSpace:
    case K::kBatchNormalization:
    case K::kInstanceNormalization:
    case K::kGroupNormalization: return true;
    default: return false;
  }
}

// x * sigmoid(x), written out.
bool gates_itself(const Graph& graph, ValueId value, const Node& gate) {
  if (gate.kind != K::kSigmoid && gate.kind != K::kHardSigmoid) return false;
  const std::vector<NodeId>& users = graph.value(gate.outputs[0]).users;
  return std::any_of(users.begin(), users.end(), [&](NodeId id) {
    const Node& user = graph.node(id);
    return user.kind == K::kMul && std::count(user.inputs.begin(), user.inputs.end(), value) > 0;
  });
}

// Of the nearest rectifier behind `value`.
std::optional<double> slope_behind(const Graph& graph, ValueId value) {
  std::vector<ValueId> open = {value};
  for (size_t next = 0; next < open.size() && next < kNearValues; ++next)
    for (const NodeId id : graph.value(open[next]).users) {
      const Node& user = graph.node(id);
      if (const auto slope = rectifier_slope(graph, user)) return slope;
      if (gates_itself(graph, open[next], user)) return 0.0;
      if (passes_on(user.kind) && open.size() < kNearValues) open.push_back(user.outputs[0]);
    }
  return std::nullopt;
}

// The values of `node`'s input `index`, as the node sees them.
Shape shape_seen(const Graph& graph, const Node& node, size_t index, const Tensor& constant) {
  const ValueType& type = graph.value(node.inputs[index]).type;
  if (type.dims)
    if (const auto shape = static_shape(*type.dims);
        shape && element_count(*shape) == constant.numel())
      return *shape;
  return constant.shape();
}

// Elements of the operand under labels that the result does not have.
int64_t einsum_fan_in(const std::string& equation, size_t operand, const Shape& shape) {
  std::string plain = equation;
  std::erase(plain, ' ');
  const size_t arrow = plain.find("->");
  const std::string result = arrow == std::string::npos ? "" : plain.substr(arrow + 2);
  std::string terms = plain.substr(0, arrow);
  for (; operand > 0; --operand) {
    const size_t comma = terms.find(',');
    if (comma == std::string::npos) return 0;
    terms = terms.substr(comma + 1);
  }
  const std::string labels = terms.substr(0, terms.find(','));
  if (arrow == std::string::npos || labels.size() != shape.size()) return 0;
  int64_t count = 1;
  for (size_t i = 0; i < shape.size(); ++i)
    if (result.find(labels[i]) == std::string::npos) count *= shape[i];
  return count;
}

// Terms of the sum that makes one output element. At least 1.
double fan_in(const Graph& graph, const Node& node, size_t input, const Shape& shape) {
  const double all = static_cast<double>(element_count(shape));
  const auto size = [&](size_t axis) { return static_cast<double>(shape.at(axis)); };
  double terms = 0;
  if (node.kind == K::kEinsum) {
    const std::string equation = node.attributes.required_string("equation");
    terms = static_cast<double>(einsum_fan_in(equation, input, shape));
  } else if (node.kind == K::kConvTranspose && shape.size() > 2) {
    const auto group = std::max<int64_t>(node.attributes.int_or("group", 1), 1);
    terms = all / size(1) / static_cast<double>(group);
    // Of the kernel's elements every stride-th meets an output element.
    for (const int64_t stride : node.attributes.ints_or("strides", {}))
      terms /= static_cast<double>(std::max<int64_t>(stride, 1));
  } else if (input == 0 && shape.size() >= 2) {  // the left side of a product
    terms = size(shape.size() - (node.attributes.int_or("transA", 0) != 0 ? 2 : 1));
  } else if (node.kind == K::kMatMul || node.kind == K::kFusedMatMul) {
    const bool transposed = shape.size() > 1 && node.attributes.int_or("transB", 0) != 0;
    terms = shape.size() > 1 ? size(shape.size() - (transposed ? 1 : 2)) : all;
  } else if (const int64_t axis = weight_channel_axis(graph, node);
             axis >= 0 && axis < static_cast<int64_t>(shape.size())) {
    terms = all / size(static_cast<size_t>(axis));
  }
  return std::max(terms, 1.0);
}

// First values of one parameter.
class FirstValues {
 public:
  FirstValues(const Graph& graph, uint64_t seed, const ParameterUse& use)
      : graph_(graph),
        node_(graph.node(use.reader)),
        role_(use.role),
        name_(graph.value(use.constant).name),
        constant_(*graph.constant(use.constant)),
        seed_(seed),
        constant_id_(use.constant) {}

  std::vector<double> make() const {
    if (is_recurrent(node_.kind))
      return uniform_values(seed_, name_, count(), 1 / std::sqrt(static_cast<double>(units())));
    if (node_.kind == K::kGather) return normal(kEmbeddingDeviation);
    switch (role_) {
      case ParameterRole::kScale: return same(node_.kind == K::kPRelu ? kPReluSlope : 1);
      case ParameterRole::kBias: return is_table() ? normal(kEmbeddingDeviation) : same(0);
      case ParameterRole::kWeight: break;
    }
    const size_t input = input_index();
    const double terms = fan_in(graph_, node_, input, shape_seen(graph_, node_, input, constant_));
    const auto slope = slope_behind(graph_, node_.outputs[0]);
    const double gain_squared = slope ? 2 / (1 + *slope * *slope) : 1;
    return normal(std::sqrt(gain_squared / terms));
  }

 private:
  size_t count() const { return static_cast<size_t>(constant_.numel()); }
  std::vector<double> same(double value) const { return std::vector<double>(count(), value); }
  std::vector<double> normal(double deviation) const {
    return normal_values(seed_, name_, count(), deviation);
  }

  int64_t units() const {
    const Tensor* recurrence = graph_.constant(node_.input(2));
    const int64_t stored =
        recurrence != nullptr && recurrence->rank() > 0 ? recurrence->shape().back() : 1;
    return std::max<int64_t>(node_.attributes.int_or("hidden_size", stored), 1);
  }

  // An Add of embeddings of positions, not of one number a channel.
  bool is_table() const {
    return node_.kind == K::kAdd &&
           std::count_if(constant_.shape().begin(), constant_.shape().end(),
                         [](int64_t size) { return size > 1; }) > 1;
  }

  // Through what moves elements, as find_parameters() went.
  size_t input_index() const {
    for (size_t i = 0; i < node_.inputs.size(); ++i) {
      ValueId id = node_.inputs[i];
      while (id.valid() && id != constant_id_ && graph_.value(id).producer.valid())
        id = graph_.node(graph_.value(id).producer).input(0);
      if (id == constant_id_) return i;
    }
    throw InternalError("a parameter that its reader does not read: " + name_);
  }

  const Graph& graph_;
  const Node& node_;
  ParameterRole role_;
  const std::string& name_;
  const Tensor& constant_;
  uint64_t seed_;
  ValueId constant_id_;
};

}  // namespace

int make_fresh(Graph& graph, uint64_t seed) {
  separate_shared_constants(graph);
  std::map<ValueId, Tensor> fresh;
  const auto put = [&](ValueId id, const std::vector<double>& values) {
    const Tensor& old = *graph.constant(id);
    fresh[id] = real_tensor(old.dtype(), old.shape(), values);
  };
  for (const ParameterUse& use : find_parameters(graph))
    put(use.constant, FirstValues(graph, seed, use).make());
  for (const NodeId id : graph.node_ids()) {
    const Node& node = graph.node(id);
    if (node.kind != K::kBatchNormalization) continue;
    for (size_t i = 3; i < 5; ++i) {
      const Tensor* average = graph.constant(node.input(i));
      if (average == nullptr) continue;
      const auto count = static_cast<size_t>(average->numel());
      put(node.inputs[i], std::vector<double>(count, i == 3 ? 0 : 1));
    }
  }
  for (auto& [id, tensor] : fresh) graph.set_constant(id, std::move(tensor));
  return static_cast<int>(fresh.size());
}

}  // namespace lathe
