#include <algorithm>

#include "ir/real_tensor.h"
#include "recognize/kept_reduction.h"
#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

using Nodes = std::vector<NodeId>;

struct LayerNorm {
  ValueId x;
  size_t axis = 0;
  float epsilon = 0;
  ValueId gamma;  // invalid: ones
  ValueId beta;   // invalid: none
  NodeId root;
  Nodes inner;
};

// The value whose square root this is.
ValueId square_root_of(const Graph& graph, ValueId value, Nodes& inner) {
  const NodeId id = graph.value(value).producer;
  if (!id.valid()) return {};
  const Node& node = graph.node(id);
  const bool root = node.kind == OpKind::kSqrt ||
                    (node.kind == OpKind::kPow && scalar_constant(graph, node.inputs[1]) == 0.5);
  if (!root) return {};
  inner.push_back(id);
  return node.inputs[0];
}

// A plain ReduceMean, its dimensions kept or not.
std::optional<Reduction> mean_of(const Graph& graph, ValueId value) {
  auto mean = reduction_of(graph, value);
  if (!mean || mean->kind != OpKind::kReduceMean || mean->scale != 1.0) return {};
  return mean;
}

bool is_square(const ScalarProduct& product, ValueId root) {
  return product.scale == 1.0 && product.divisors.empty() &&
         product.factors == std::vector{root, root};
}

// Max(value, 0) keeps what rounding made negative out of the root.
ValueId before_clamping(const Graph& graph, ValueId value, Nodes& inner) {
  const NodeId id = graph.value(value).producer;
  if (!id.valid()) return value;
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kRelu && node.kind != OpKind::kMax) return value;
  ValueId clamped = node.inputs[0];
  if (node.kind == OpKind::kMax) {
    if (node.inputs.size() != 2) return value;
    const size_t zero = scalar_constant(graph, node.inputs[0]) == 0.0 ? 0 : 1;
    if (scalar_constant(graph, node.inputs[zero]) != 0.0) return value;
    clamped = node.inputs[1 - zero];
  }
  inner.push_back(id);
  return clamped;
}

// Mean of the squared difference, or mean of the square less the square of the mean (`mean`, also
// without its kept dimensions: `bare_mean`).
bool match_variance(const Graph& graph, ValueId value, ValueId difference, ValueId mean,
                    ValueId bare_mean, LayerNorm& found, const std::vector<int64_t>& axes) {
  value = before_clamping(graph, before_restoring(graph, value, found.inner), found.inner);
  ValueId root = difference;
  if (const NodeId sub = graph.value(value).producer;
      sub.valid() && graph.node(sub).kind == OpKind::kSub) {
    const ValueId subtracted = graph.node(sub).inputs[1];
    const ScalarProduct square = scalar_product(graph, subtracted);
    if (!is_square(square, mean) && !is_square(square, bare_mean)) return false;
    found.inner.insert(found.inner.end(), square.inner.begin(), square.inner.end());
    found.inner.push_back(sub);
    value = graph.node(sub).inputs[0];
    root = found.x;
  }
  const auto variance = mean_of(graph, value);
  if (!variance || variance->axes != axes) return false;
  const ScalarProduct square = scalar_product(graph, variance->of);
  if (!is_square(square, root)) return false;
  for (const Nodes* more : {&variance->inner, &square.inner})
    found.inner.insert(found.inner.end(), more->begin(), more->end());
  return true;
}

// d = x - mean(x), divided by the root of its variance + epsilon.
bool match_quotient(const Graph& graph, ValueId difference, ValueId divisor, LayerNorm& found) {
  const NodeId sub = graph.value(difference).producer;
  if (!sub.valid() || graph.node(sub).kind != OpKind::kSub) return false;
  found.x = graph.node(sub).inputs[0];
  const ValueId kept_mean = graph.node(sub).inputs[1];
  ValueId bare_mean = kept_mean;
  auto mean = mean_of(graph, kept_mean);
  if (!mean) {
    bare_mean = before_restoring(graph, kept_mean, found.inner);
    mean = mean_of(graph, bare_mean);
  }
  if (!mean || mean->of != found.x || !are_last_axes(graph, found.x, mean->axes) ||
      !is_kept(graph, kept_mean, found.x, mean->axes))
    return false;
  const ValueId sum = square_root_of(graph, divisor, found.inner);
  const auto shifted = sum.valid() ? shifted_value(graph, sum) : std::nullopt;
  if (!shifted || !(shifted->shift > 0) || !is_kept(graph, shifted->term, found.x, mean->axes) ||
      !match_variance(graph, shifted->term, difference, kept_mean, bare_mean, found, mean->axes))
    return false;
  found.axis = static_cast<size_t>(mean->axes[0]);
  found.epsilon = static_cast<float>(shifted->shift);
  found.inner.push_back(sub);
  found.inner.push_back(shifted->inner);
  found.inner.insert(found.inner.end(), mean->inner.begin(), mean->inner.end());
  return true;
}

// A constant that broadcasts to the normalized dimensions alone.
bool is_parameter(const Graph& graph, ValueId value, const Shape& shape) {
  const Tensor* tensor = graph.constant(value);
  if (tensor == nullptr || tensor->dtype() != DType::kFloat32) return false;
  const Shape& own = tensor->shape();
  for (size_t i = 0; i < own.size(); ++i) {
    const int64_t dim = own[own.size() - 1 - i];
    if (dim != 1 && (i >= shape.size() || dim != shape[shape.size() - 1 - i])) return false;
  }
  return true;
}

// The single reader of `value` when it is `kind` with a parameter, which becomes `parameter`.
NodeId follow(const Graph& graph, ValueId value, OpKind kind, const Shape& shape,
              ValueId& parameter) {
  const auto user = graph.single_user(value);
  if (!user || graph.node(*user).kind != kind) return {};
  const Node& node = graph.node(*user);
  parameter = node.inputs[0] == value ? node.inputs[1] : node.inputs[0];
  if (!is_parameter(graph, parameter, shape) || !keeps_shape(graph, value, node.outputs[0]))
    return {};
  return *user;
}

// The parameter with exactly the normalized dimensions: not every runtime broadcasts it.
ValueId expanded(Graph& graph, NodeId root, ValueId parameter, const Shape& shape,
                 const char* name) {
  const Tensor* tensor = parameter.valid() ? graph.constant(parameter) : nullptr;
  if (tensor != nullptr && tensor->shape() == shape) return parameter;
  const auto count = static_cast<size_t>(element_count(shape));
  std::vector<double> values(count, 1.0);
  if (tensor != nullptr) {
    const std::vector<double> own = tensor->to_double();
    for (size_t i = 0; i < count; ++i) {
      size_t rest = i, source = 0, step = 1;
      for (size_t back = 0; back < shape.size(); ++back) {
        const auto size = static_cast<size_t>(shape[shape.size() - 1 - back]);
        if (back < tensor->shape().size()) {
          const auto dim = static_cast<size_t>(tensor->shape()[tensor->shape().size() - 1 - back]);
          source += dim == 1 ? 0 : rest % size * step;
          step *= dim;
        }
        rest /= size;
      }
      values[i] = own[source];
    }
  }
  const std::string stem = graph.value(graph.node(root).outputs[0]).name;
  return graph.add_constant(graph.fresh_name(stem + name),
                            real_tensor(DType::kFloat32, shape, values));
}

bool recognize_layer_norm_at(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kDiv && node.kind != OpKind::kMul) return false;
  const ScalarProduct product = scalar_product(graph, node.outputs[0]);
  if (product.scale != 1.0 || product.divisors.size() != 1 || product.factors.empty() ||
      product.factors.size() > 2)
    return false;
  LayerNorm found;
  found.root = id;
  for (const ValueId factor : product.factors)
    if (graph.constant(factor) != nullptr) found.gamma = factor;
  if (found.gamma.valid() != (product.factors.size() == 2)) return false;
  const ValueId difference =
      product.factors[0] == found.gamma ? product.factors.back() : product.factors[0];
  if (!match_quotient(graph, difference, product.divisors[0], found)) return false;
  // The op computes in float32.
  const ValueType type = graph.value(found.x).type;
  if (type.dtype != DType::kFloat32 || !keeps_shape(graph, found.x, node.outputs[0])) return false;
  const auto shape =
      static_shape({type.dims->begin() + static_cast<ptrdiff_t>(found.axis), type.dims->end()});
  if (!shape || std::find(shape->begin(), shape->end(), 0) != shape->end()) return false;
  if (found.gamma.valid() && !is_parameter(graph, found.gamma, *shape)) return false;
  found.inner.insert(found.inner.end(), product.inner.begin(), product.inner.end());
  if (!is_closed(graph, id, found.inner)) return false;
  const auto absorb = [&](OpKind kind, ValueId& parameter) {
    ValueId other;
    const NodeId next = follow(graph, graph.node(found.root).outputs[0], kind, *shape, other);
    if (!next.valid()) return;
    found.inner.push_back(found.root);
    found.root = next;
    parameter = other;
  };
  if (!found.gamma.valid()) absorb(OpKind::kMul, found.gamma);
  absorb(OpKind::kAdd, found.beta);
  WrittenOut pattern{found.root, found.inner, OpKind::kLayerNormalization, {found.x}, {}};
  pattern.inputs.push_back(expanded(graph, found.root, found.gamma, *shape, "_scale"));
  if (found.beta.valid())
    pattern.inputs.push_back(expanded(graph, found.root, found.beta, *shape, "_bias"));
  pattern.attributes.set(
      "axis", static_cast<int64_t>(found.axis) - static_cast<int64_t>(type.dims->size()));
  pattern.attributes.set("epsilon", found.epsilon);
  return replace_written_out(graph, pattern);
}

}  // namespace

int recognize_layer_norm(Graph& graph) {
  return for_each_live_node(graph, recognize_layer_norm_at);
}

}  // namespace lathe
