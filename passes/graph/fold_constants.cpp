#include <algorithm>

#include "ir/error.h"
#include "ops/op_row.h"
#include "passes/passes.h"
#include "run/node_call.h"

namespace lathe {
namespace {

int64_t constant_bytes(const Graph& graph) {
  int64_t total = 0;
  for (const ValueId id : graph.value_ids())
    if (const Tensor* tensor = graph.constant(id))
      total += static_cast<int64_t>(tensor->bytes().size());
  return total;
}

// Bytes of all outputs from the inferred shapes; nullopt when one is not known.
std::optional<int64_t> output_bytes(const Graph& graph, const Node& node) {
  int64_t total = 0;
  for (const ValueId id : node.outputs) {
    if (!id.valid()) continue;
    const ValueType& type = graph.value(id).type;
    if (!type.is_tensor() || !type.dims || type.dtype == DType::kUndefined) return {};
    const auto shape = static_shape(*type.dims);
    if (!shape) return {};
    int64_t count = 1;
    for (const int64_t dim : *shape)
      if (__builtin_mul_overflow(count, dim, &count) || count > (int64_t{1} << 40)) return {};
    total += dtype_bytes(type.dtype, count);
  }
  return total;
}

// Ops whose output can be no larger than their inputs by more than broadcasting of known shapes:
// they may be evaluated even when shape inference does not know the result.
bool is_bounded(OpKind kind) {
  switch (kind) {
    case OpKind::kGather:
    case OpKind::kSlice:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kReshape:
    case OpKind::kTranspose:
    case OpKind::kConcat:
    case OpKind::kCast:
    case OpKind::kFlatten:
    case OpKind::kIdentity:
    case OpKind::kNonZero:
    case OpKind::kScatterND: return true;
    default: return false;
  }
}

bool is_foldable(const Graph& graph, const Node& node) {
  // A dequantized weight must stay what it is: the runtimes look for DequantizeLinear.
  if (node.kind == OpKind::kOpaque || node.kind == OpKind::kDequantizeLinear ||
      node.kind == OpKind::kQuantizeLinear || op_row(node.kind).random || !node.subgraphs.empty() ||
      is_sequence_op(node.kind))
    return false;
  for (const ValueId input : node.inputs) {
    const Tensor* constant = graph.constant(input);
    if (input.valid() && (constant == nullptr || constant->dtype() == DType::kString)) return false;
  }
  return std::none_of(node.outputs.begin(), node.outputs.end(),
                      [&](ValueId id) { return id.valid() && graph.is_output(id); });
}

// Bytes of the constants that nobody else reads.
int64_t freed_bytes(const Graph& graph, const Node& node) {
  int64_t total = 0;
  for (const ValueId input : node.inputs)
    if (input.valid() && graph.value(input).users.size() == 1)
      total += static_cast<int64_t>(graph.constant(input)->bytes().size());
  return total;
}

std::optional<std::vector<Tensor>> evaluate_now(const Graph& graph, const Node& node) {
  std::vector<RuntimeValue> inputs;
  for (const ValueId input : node.inputs)
    inputs.push_back(input.valid() ? to_runtime(*graph.constant(input)) : RuntimeValue{});
  try {
    std::vector<Tensor> results;
    for (const RuntimeValue& value : call_op(node, inputs)) {
      if (!value.is_tensor() && !value.is_absent()) return {};
      results.push_back(value.is_tensor() ? to_tensor(value) : Tensor{});
    }
    return results;
  } catch (const std::exception&) {
    // Left as it is: a node that cannot be computed may sit in a branch that never runs.
    return {};
  }
}

// Shape and Size of a value with known dimensions.
std::optional<Tensor> known_shape(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kShape && node.kind != OpKind::kSize) return {};
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  if (!dims || graph.is_output(node.outputs[0])) return {};
  const auto shape = static_shape(*dims);
  if (!shape) return {};
  if (node.kind == OpKind::kSize) return Tensor::scalar<int64_t>(element_count(*shape));
  const auto rank = static_cast<int64_t>(shape->size());
  const auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const int64_t start = bound(node.attributes.int_or("start", 0));
  const int64_t end = std::max(start, bound(node.attributes.int_or("end", rank)));
  return Tensor::vector<int64_t>({shape->begin() + start, shape->begin() + end});
}

void replace_outputs(Graph& graph, NodeId id, const std::vector<Tensor>& results) {
  const std::vector<ValueId> outputs = graph.node(id).outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid() || graph.value(outputs[i]).users.empty()) continue;
    const std::string name = graph.value(outputs[i]).name;
    const ValueId constant = graph.add_constant(name + "_folded", results[i]);
    graph.replace_all_uses(outputs[i], constant);
  }
  graph.erase_node(id);
}

}  // namespace

int fold_constants(Graph& graph, const FoldLimits& limits) {
  int changes = 0;
  const auto budget =
      static_cast<int64_t>(limits.growth * static_cast<double>(constant_bytes(graph)));
  int64_t left = std::max(budget, int64_t{1} << 20);
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fold_constants(subgraph.graph(), limits);
    const Node& node = graph.node(id);
    if (node.outputs.empty()) continue;
    if (const auto shape = known_shape(graph, node)) {
      replace_outputs(graph, id, {*shape});
      ++changes;
      continue;
    }
    if (!is_foldable(graph, node)) continue;
    const auto predicted = output_bytes(graph, node);
    if (!predicted && !is_bounded(node.kind)) continue;
    const int64_t freed = freed_bytes(graph, node);
    if (predicted && *predicted > std::max(limits.output_bytes, freed)) continue;
    const auto results = evaluate_now(graph, node);
    if (!results || results->size() < node.outputs.size()) continue;
    int64_t size = 0;
    bool complete = true;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      size += static_cast<int64_t>((*results)[i].bytes().size());
      complete &= !node.outputs[i].valid() || (*results)[i].defined();
    }
    if (!complete || size > std::max(limits.output_bytes, freed) || size - freed > left) continue;
    left -= std::max<int64_t>(0, size - freed);
    replace_outputs(graph, id, *results);
    ++changes;
  }
  return changes;
}

}  // namespace lathe
