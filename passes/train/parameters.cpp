#include "train/parameters.h"

#include <algorithm>
#include <optional>
#include <set>

#include "ops/op_row.h"

namespace lathe {
namespace {

using K = OpKind;

bool moves_elements(OpKind kind) {
  return kind == K::kIdentity || kind == K::kCast || kind == K::kTranspose || kind == K::kReshape ||
         kind == K::kSqueeze || kind == K::kUnsqueeze;
}

// The value that `id` is a rearranged copy of.
ValueId origin(const Graph& graph, ValueId id) {
  while (id.valid()) {
    const NodeId producer = graph.value(id).producer;
    if (!producer.valid() || !moves_elements(graph.node(producer).kind)) return id;
    id = graph.node(producer).input(0);
  }
  return id;
}

const Tensor* float_constant(const Graph& graph, ValueId id) {
  const Tensor* constant = id.valid() ? graph.constant(id) : nullptr;
  return constant != nullptr && is_floating(constant->dtype()) ? constant : nullptr;
}

int64_t long_axes(const Tensor& tensor) {
  return std::count_if(tensor.shape().begin(), tensor.shape().end(),
                       [](int64_t size) { return size > 1; });
}

std::optional<ParameterRole> elementwise_role(const Graph& graph, const Node& node, size_t input,
                                              const Tensor& constant) {
  const bool adds = node.kind == K::kAdd || node.kind == K::kSub;
  if (!adds && node.kind != K::kMul && node.kind != K::kDiv) return std::nullopt;
  const ValueId other = origin(graph, node.input(1 - input));
  if (!other.valid() || graph.is_input(other) || graph.constant(other) != nullptr)
    return std::nullopt;
  const int64_t axes = long_axes(constant);
  const bool positions = node.kind == K::kAdd && axes == 2 && constant.rank() <= 3;
  if (axes != 1 && !positions) return std::nullopt;
  return adds ? ParameterRole::kBias : ParameterRole::kScale;
}

std::optional<ParameterRole> role_of(const Graph& graph, const Node& node, size_t input,
                                     const Tensor& constant) {
  using Role = ParameterRole;
  const auto scale_or_bias = [&](size_t scale, size_t bias) -> std::optional<Role> {
    if (input == scale) return Role::kScale;
    if (input == bias) return Role::kBias;
    return std::nullopt;
  };
  switch (node.kind) {
    case K::kBatchNormalization:
    case K::kGroupNormalization:
    case K::kInstanceNormalization:
    case K::kLayerNormalization: return scale_or_bias(1, 2);
    case K::kRMSNormalization:
    case K::kPRelu: return scale_or_bias(1, 1000);
    case K::kSkipLayerNormalization:
      return input == 4 ? std::optional(Role::kBias) : scale_or_bias(2, 3);
    case K::kBiasGelu:
    case K::kFastGelu: return scale_or_bias(1000, 1);
    case K::kLSTM:
      if (input == 7) return Role::kScale;
      break;
    case K::kGather:
      if (input == 0 && constant.rank() == 2 && node.attributes.int_or("axis", 0) == 0)
        return Role::kWeight;
      return std::nullopt;
    case K::kEinsum: return long_axes(constant) >= 1 ? std::optional(Role::kWeight) : std::nullopt;
    default: break;
  }
  const bool recurrent = node.kind == K::kLSTM || node.kind == K::kGRU || node.kind == K::kRNN;
  if (recurrent && input == 2) return Role::kWeight;  // R; the op table names W and B
  const OpRow& row = op_row(node.kind);
  if (row.weight_input >= 0) {
    if (input == static_cast<size_t>(row.weight_input)) return Role::kWeight;
    if (row.bias_input >= 0 && input == static_cast<size_t>(row.bias_input)) return Role::kBias;
    const bool product = node.kind == K::kMatMul || node.kind == K::kGemm ||
                         node.kind == K::kFusedMatMul || node.kind == K::kFusedGemm;
    if (product && input == 0) return Role::kWeight;
    return std::nullopt;
  }
  if (node.inputs.size() == 2) return elementwise_role(graph, node, input, constant);
  return std::nullopt;
}

bool is_average(const Node& node, size_t input) {
  return node.kind == K::kBatchNormalization && input >= 3;
}

}  // namespace

std::vector<ParameterUse> find_parameters(const Graph& graph) {
  std::vector<ParameterUse> found;
  std::set<ValueId> seen;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId constant = origin(graph, node.inputs[i]);
      const Tensor* tensor = float_constant(graph, constant);
      if (tensor == nullptr || tensor->numel() == 0 || seen.contains(constant)) continue;
      // The role depends on the shape that the node sees.
      Tensor shown = *tensor;
      const ValueType& type = graph.value(node.inputs[i]).type;
      if (constant != node.inputs[i] && type.dims)
        if (const auto shape = static_shape(*type.dims);
            shape && element_count(*shape) == shown.numel())
          shown = shown.reshaped(*shape);
      const auto role = role_of(graph, node, i, shown);
      if (!role) continue;
      seen.insert(constant);
      found.push_back({constant, id, *role});
    }
  }
  return found;
}

int separate_shared_constants(Graph& graph) {
  std::set<ValueId> trained;  // and averages, which training changes too
  for (const ParameterUse& use : find_parameters(graph)) trained.insert(use.constant);
  for (const NodeId id : graph.node_ids()) {
    const Node& node = graph.node(id);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (is_average(node, i)) trained.insert(node.inputs[i]);
  }
  int changes = 0;
  std::set<ValueId> taken;
  for (const NodeId id : graph.order()) {
    for (size_t i = 0; i < graph.node(id).inputs.size(); ++i) {
      const ValueId input = graph.node(id).inputs[i];
      const Tensor* tensor = float_constant(graph, input);
      if (tensor == nullptr || tensor->rank() > 1 || !trained.contains(input)) continue;
      if (taken.insert(input).second) continue;
      graph.replace_input(
          id, i, graph.add_constant(graph.fresh_name(graph.value(input).name), Tensor(*tensor)));
      ++changes;
    }
  }
  return changes;
}

}  // namespace lathe
