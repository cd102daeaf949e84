#include <algorithm>
#include <numeric>

#include "passes/passes.h"

namespace lathe {
namespace {

bool all_zero(const Tensor* tensor) {
  if (tensor == nullptr) return false;
  const std::vector<int64_t> values = tensor->to_int64();
  return std::all_of(values.begin(), values.end(), [](int64_t value) { return value == 0; });
}

bool is_identity_permutation(const Graph& graph, const Node& node) {
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  const std::vector<int64_t> perm = node.attributes.ints_or("perm", {});
  if (perm.empty()) return dims && dims->size() <= 1;
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return true;
}

// Reshape or Expand that gives back the same, fully known shape.
bool keeps_static_shape(const Graph& graph, const Node& node) {
  const auto& in = graph.value(node.inputs[0]).type.dims;
  const auto& out = graph.value(node.outputs[0]).type.dims;
  return in && out && static_shape(*in) && *in == *out && graph.constant(node.input(1)) != nullptr;
}

bool is_identity(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || !node.inputs[0].valid()) return false;
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i].valid() &&
        (!graph.value(node.outputs[i]).users.empty() || graph.is_output(node.outputs[i])))
      return false;
  const ValueType& in = graph.value(node.inputs[0]).type;
  switch (node.kind) {
    case OpKind::kIdentity: return true;
    case OpKind::kDropout: {
      if (!node.input(2).valid()) return true;
      return all_zero(graph.constant(node.input(2)));
    }
    case OpKind::kCast:
      return in.is_tensor() && in.dtype != DType::kUndefined &&
             node.attributes.int_or("to", 0) == static_cast<int64_t>(in.dtype);
    case OpKind::kTranspose: return is_identity_permutation(graph, node);
    case OpKind::kConcat:
    case OpKind::kSum:
    case OpKind::kMax:
    case OpKind::kMin:
    case OpKind::kMean: return node.inputs.size() == 1;
    case OpKind::kPad: return all_zero(graph.constant(node.input(1)));
    case OpKind::kReshape:
    case OpKind::kExpand: return keeps_static_shape(graph, node);
    case OpKind::kFlatten:
      return in.dims && in.dims->size() == 2 && node.attributes.int_or("axis", 1) == 1;
    default: return false;
  }
}

// A graph output must not become a graph input, a constant, or another output under one name.
bool may_bypass(const Graph& graph, const Node& node) {
  const ValueId out = node.outputs[0];
  if (!graph.is_output(out)) return true;
  const ValueId in = node.inputs[0];
  const Value& source = graph.value(in);
  return source.producer.valid() && !graph.is_output(in);
}

}  // namespace

int eliminate_identities(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += eliminate_identities(subgraph.graph());
    const Node& node = graph.node(id);
    if (!is_identity(graph, node) || !may_bypass(graph, node)) continue;
    graph.replace_all_uses_keeping_output_name(node.outputs[0], node.inputs[0]);
    graph.erase_node(id);
    ++changes;
  }
  return changes;
}

}  // namespace lathe
