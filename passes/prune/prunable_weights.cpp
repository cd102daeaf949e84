#include "prune/prunable_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

int16_t input_axis(const Node& node, int64_t rank) {
  switch (node.kind) {
    case OpKind::kConvTranspose: return 0;
    case OpKind::kGemm:
    case OpKind::kFusedGemm: return node.attributes.int_or("transB", 0) != 0 ? 1 : 0;
    case OpKind::kMatMul: return static_cast<int16_t>(rank - 2);
    case OpKind::kFusedMatMul:
      return static_cast<int16_t>(node.attributes.int_or("transB", 0) != 0 ? rank - 1 : rank - 2);
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN: return 2;
    default: return 1;
  }
}

}  // namespace

std::vector<size_t> weight_inputs(const Node& node) {
  const int16_t weight = op_row(node.kind).weight_input;
  if (weight < 0) return {};
  if (gate_count(node.kind) > 0) return {1, 2};
  return {static_cast<size_t>(weight)};
}

std::vector<PrunableWeight> prunable_weights(const Graph& graph,
                                             const std::function<bool(const Node&)>& selected) {
  std::vector<PrunableWeight> weights;
  std::set<ValueId> seen;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (const size_t input : weight_inputs(node)) {
      const ValueId constant = node.input(input);
      const Tensor* tensor = constant.valid() ? graph.constant(constant) : nullptr;
      if (tensor == nullptr || !is_floating(tensor->dtype()) || tensor->rank() < 2 ||
          (gate_count(node.kind) > 0 && tensor->rank() != 3) || tensor->numel() == 0)
        continue;
      const auto& users = graph.value(constant).users;
      const bool wanted = !selected || std::all_of(users.begin(), users.end(), [&](NodeId user) {
        return selected(graph.node(user));
      });
      if (wanted && seen.insert(constant).second)
        weights.push_back({constant, id, input_axis(node, tensor->rank())});
    }
  }
  return weights;
}

int64_t gate_count(OpKind kind) {
  if (kind == OpKind::kLSTM) return 4;
  if (kind == OpKind::kGRU) return 3;
  return kind == OpKind::kRNN ? 1 : 0;
}

std::vector<double> finite_weights(const Graph& graph, ValueId constant) {
  const Value& value = graph.value(constant);
  std::vector<double> values = graph.constant(constant)->to_double();
  const auto bad = static_cast<size_t>(
      std::find_if(values.begin(), values.end(), [](double v) { return !std::isfinite(v); }) -
      values.begin());
  if (bad < values.size())
    throw bad_input("prune.non_finite_weight",
                    fmt::format("element {} of constant '{}' is {}", bad,
                                escape_untrusted(value.name), values[bad]),
                    value.users.empty()
                        ? std::string()
                        : "node " + escape_untrusted(graph.node(value.users[0]).name),
                    "fix the weights");
  return values;
}

}  // namespace lathe
