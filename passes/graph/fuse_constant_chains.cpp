#include <algorithm>
#include <cmath>
#include <optional>

#include "graph/graph_passes.h"
#include "ir/real_tensor.h"

namespace lathe {
namespace {

// x + c, -x + c (additive) or x * c, c / x (multiplicative), in double.
struct Link {
  ValueId x;
  bool multiplicative = false;
  bool inverse = false;  // -x, 1 / x
  Shape shape;
  std::vector<double> constant;
};

// Constants beyond this are no parameters of a layer, and folding them would double the file.
constexpr int64_t kMaxFactors = int64_t{1} << 22;
// Sums and products of such numbers neither overflow nor vanish.
constexpr double kLeastFactor = 1e-12;
constexpr double kLargestFactor = 1e12;

bool is_moderate(double value) {
  return std::fabs(value) >= kLeastFactor && std::fabs(value) <= kLargestFactor;
}

std::optional<Link> link_of(const Graph& graph, const Node& node) {
  const bool multiplicative = node.kind == OpKind::kMul || node.kind == OpKind::kDiv;
  if (!multiplicative && node.kind != OpKind::kAdd && node.kind != OpKind::kSub) return {};
  const size_t constant_side = graph.constant(node.inputs[1]) != nullptr ? 1 : 0;
  const Tensor* tensor = graph.constant(node.inputs[constant_side]);
  if (tensor == nullptr || !is_floating(tensor->dtype()) || tensor->numel() > kMaxFactors ||
      dtype_bits(tensor->dtype()) < 16)
    return {};
  Link link{node.inputs[1 - constant_side], multiplicative, false, tensor->shape(),
            tensor->to_double()};
  if (graph.constant(link.x) != nullptr) return {};
  const bool subtracts = node.kind == OpKind::kSub || node.kind == OpKind::kDiv;
  link.inverse = subtracts && constant_side == 0;
  for (double& value : link.constant) {
    const bool usable = multiplicative ? is_moderate(value) : std::fabs(value) <= kLargestFactor;
    if (!usable) return {};
    if (subtracts && constant_side == 1) value = multiplicative ? 1 / value : -value;
  }
  return link;
}

// The shape of one operand that the other broadcasts to; nullopt when both widen.
std::optional<Shape> wider(const Shape& a, const Shape& b) {
  const auto fits = [](const Shape& small, const Shape& large) {
    if (small.size() > large.size()) return false;
    for (size_t i = 0; i < small.size(); ++i)
      if (small[small.size() - 1 - i] != 1 &&
          small[small.size() - 1 - i] != large[large.size() - 1 - i])
        return false;
    return true;
  };
  if (fits(a, b)) return b;
  if (fits(b, a)) return a;
  return {};
}

// Index into a tensor of `shape` for element `flat` of the wider `full`.
size_t broadcast_index(size_t flat, const Shape& full, const Shape& shape) {
  size_t index = 0;
  size_t stride = 1;
  for (size_t i = 0; i < full.size(); ++i) {
    const auto size = static_cast<size_t>(full[full.size() - 1 - i]);
    const size_t at = flat % size;
    flat /= size;
    if (i >= shape.size()) continue;
    const auto own = static_cast<size_t>(shape[shape.size() - 1 - i]);
    index += (own == 1 ? 0 : at) * stride;
    stride *= own;
  }
  return index;
}

std::optional<double> joined(const Link& first, const Link& second, double a, double b) {
  if (first.multiplicative) {
    const double value = (second.inverse ? 1 / a : a) * b;
    return is_moderate(value) ? std::optional(value) : std::nullopt;
  }
  const double moved = second.inverse ? -a : a;
  const double value = moved + b;
  // Where the constants cancel, the rounding of the sum between is part of the answer.
  if (std::fabs(value) < 0.5 * std::max(std::fabs(moved), std::fabs(b))) return {};
  return value;
}

bool fuse_links(Graph& graph, NodeId id) {
  const auto second = link_of(graph, graph.node(id));
  if (!second || graph.single_user(second->x) != id) return false;
  const NodeId producer = graph.value(second->x).producer;
  if (!producer.valid()) return false;
  const auto first = link_of(graph, graph.node(producer));
  if (!first || first->multiplicative != second->multiplicative) return false;
  const auto shape = wider(first->shape, second->shape);
  if (!shape) return false;
  std::vector<double> values(static_cast<size_t>(element_count(*shape)));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value =
        joined(*first, *second, first->constant[broadcast_index(i, *shape, first->shape)],
               second->constant[broadcast_index(i, *shape, second->shape)]);
    if (!value) return false;
    values[i] = *value;
  }
  const Node& node = graph.node(id);
  const Tensor* tensor = graph.constant(node.inputs[0]) != nullptr ? graph.constant(node.inputs[0])
                                                                   : graph.constant(node.inputs[1]);
  const std::string stem = graph.value(node.outputs[0]).name;
  const Tensor constant = real_tensor(tensor->dtype(), *shape, values);
  const std::vector<double> rounded = constant.to_double();
  if (first->multiplicative && !std::all_of(rounded.begin(), rounded.end(), is_moderate))
    return false;
  const ValueId merged = graph.add_constant(graph.fresh_name(stem + "_constant"), constant);
  const bool inverse = first->inverse != second->inverse;
  graph.replace_input(id, inverse ? 1 : 0, first->x);
  graph.replace_input(id, inverse ? 0 : 1, merged);
  if (first->multiplicative)
    graph.edit(id).kind = inverse ? OpKind::kDiv : OpKind::kMul;
  else
    graph.edit(id).kind = inverse ? OpKind::kSub : OpKind::kAdd;
  graph.erase_node(producer);
  return true;
}

}  // namespace

int fuse_constant_chains(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_constant_chains(subgraph.graph());
    changes += fuse_links(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
