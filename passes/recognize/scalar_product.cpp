#include "recognize/scalar_product.h"

#include <cmath>

namespace lathe {
namespace {

size_t rank_or_most(const Graph& graph, ValueId value) {
  const auto& dims = graph.value(value).type.dims;
  return dims ? dims->size() : static_cast<size_t>(kMaxRank);
}

class Builder {
 public:
  explicit Builder(const Graph& graph) : graph_(graph) {}

  // The value stands above (or, divided, below) the line; `shared`: its other readers do not count.
  void take(ValueId value, bool divided, bool shared) {
    if (const auto scalar = scalar_constant(graph_, value); scalar && (!divided || *scalar != 0)) {
      product.scale = divided ? product.scale / *scalar : product.scale * *scalar;
      return;
    }
    const NodeId id = graph_.value(value).producer;
    const bool may_open = id.valid() && (shared || graph_.single_user(value).has_value());
    if (may_open && product.inner.size() < kMaxProductNodes && open(id, divided)) return;
    (divided ? product.divisors : product.factors).push_back(value);
  }

  ScalarProduct product;

 private:
  bool open(NodeId id, bool divided) {
    const Node& node = graph_.node(id);
    switch (node.kind) {
      case OpKind::kMul:
        product.inner.push_back(id);
        take(node.inputs[0], divided, false);
        take(node.inputs[1], divided, false);
        return true;
      case OpKind::kDiv:
        product.inner.push_back(id);
        take(node.inputs[0], divided, false);
        take(node.inputs[1], !divided, false);
        return true;
      case OpKind::kReciprocal:
        product.inner.push_back(id);
        take(node.inputs[0], !divided, false);
        return true;
      case OpKind::kPow: {
        const auto exponent = scalar_constant(graph_, node.inputs[1]);
        if (exponent != 2.0 && exponent != 3.0) return false;
        product.inner.push_back(id);
        // The base is one read for all its copies: it is not opened, or it would be counted once.
        auto& side = divided ? product.divisors : product.factors;
        side.insert(side.end(), static_cast<size_t>(*exponent), node.inputs[0]);
        return true;
      }
      default: return false;
    }
  }

  const Graph& graph_;
};

}  // namespace

ScalarProduct scalar_product(const Graph& graph, ValueId value) {
  Builder builder(graph);
  builder.take(value, false, true);
  return std::move(builder.product);
}

std::optional<double> scalar_constant(const Graph& graph, ValueId value, size_t rank) {
  const Tensor* tensor = graph.constant(value);
  if (tensor == nullptr || tensor->numel() != 1 || !is_floating(tensor->dtype()) ||
      static_cast<size_t>(tensor->rank()) > rank)
    return {};
  return tensor->to_double()[0];
}

std::optional<ShiftedValue> shifted_value(const Graph& graph, ValueId value) {
  const NodeId id = graph.value(value).producer;
  if (!id.valid()) return {};
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kAdd && node.kind != OpKind::kSub) return {};
  const bool added = node.kind == OpKind::kAdd;
  for (const size_t side : {size_t{1}, size_t{0}}) {
    if (side == 0 && !added) break;
    const ValueId term = node.inputs[1 - side];
    const auto shift = scalar_constant(graph, node.inputs[side], rank_or_most(graph, term));
    if (shift) return ShiftedValue{term, added ? *shift : -*shift, id};
  }
  return {};
}

bool is_close(const Graph& graph, ValueId value, double constant, double wanted) {
  const DType dtype = graph.value(value).type.dtype;
  double tolerance = 2e-6;
  if (dtype == DType::kFloat16) tolerance = 1e-3;
  if (dtype == DType::kBFloat16) tolerance = 8e-3;
  return std::fabs(constant - wanted) <= tolerance * std::fabs(wanted);
}

}  // namespace lathe
