#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/graph_passes.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

// A constant beside `value` that leaves its shape alone.
bool constant_keeps_shape(const Graph& graph, ValueId value, const Tensor& constant) {
  const auto& dims = graph.value(value).type.dims;
  if (!dims || constant.shape().size() > dims->size()) return false;
  const size_t offset = dims->size() - constant.shape().size();
  for (size_t i = 0; i < constant.shape().size(); ++i)
    if (constant.shape()[i] != 1 && (*dims)[offset + i].size != constant.shape()[i]) return false;
  return true;
}

bool is_all(const Tensor& tensor, double wanted) {
  if (tensor.numel() == 0) return false;
  if (is_floating(tensor.dtype())) {
    const std::vector<double> values = tensor.to_double();
    return std::all_of(values.begin(), values.end(), [&](double v) { return v == wanted; });
  }
  if (!is_integer(tensor.dtype()) && tensor.dtype() != DType::kBool) return false;
  const std::vector<int64_t> values = tensor.to_int64();
  return std::isfinite(wanted) && std::all_of(values.begin(), values.end(), [&](int64_t v) {
           return v == static_cast<int64_t>(wanted);
         });
}

// What the second operand must be so that the first comes back.
std::optional<double> neutral_element(OpKind kind) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (kind) {
    case OpKind::kAdd:
    case OpKind::kSub:
    case OpKind::kOr: return 0;
    case OpKind::kMul:
    case OpKind::kDiv:
    case OpKind::kPow:
    case OpKind::kAnd: return 1;
    case OpKind::kMax: return -kInfinity;
    case OpKind::kMin: return kInfinity;
    default: return {};
  }
}

bool is_commutative(OpKind kind) {
  return kind != OpKind::kSub && kind != OpKind::kDiv && kind != OpKind::kPow;
}

std::optional<size_t> beside_neutral(const Graph& graph, const Node& node) {
  const auto neutral = neutral_element(node.kind);
  if (!neutral || node.inputs.size() != 2) return {};
  for (const size_t kept : {size_t{0}, size_t{1}}) {
    if (kept == 1 && !is_commutative(node.kind)) break;
    const Tensor* other = graph.constant(node.inputs[1 - kept]);
    if (other != nullptr && constant_keeps_shape(graph, node.inputs[kept], *other) &&
        is_all(*other, *neutral))
      return kept;
  }
  return {};
}

// Neg(Neg(x)), Not(Not(x)): the value before the first.
ValueId before_inverse(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kNeg && node.kind != OpKind::kNot) return {};
  const NodeId producer = graph.value(node.inputs[0]).producer;
  if (!producer.valid() || graph.node(producer).kind != node.kind) return {};
  return graph.node(producer).inputs[0];
}

// Abs(Abs(x)), Ceil(Floor(x)): the second finds nothing to do.
bool repeats_producer(const Graph& graph, const Node& node) {
  const NodeId producer = graph.value(node.inputs[0]).producer;
  if (!producer.valid()) return false;
  const auto rounds = [](OpKind kind) {
    return kind == OpKind::kCeil || kind == OpKind::kFloor || kind == OpKind::kRound;
  };
  const OpKind first = graph.node(producer).kind;
  if (rounds(node.kind)) return rounds(first);
  return (node.kind == OpKind::kAbs || node.kind == OpKind::kSign) && first == node.kind;
}

bool reduces_nothing(const Graph& graph, const Node& node) {
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  if (!dims || node.attributes.int_or("keepdims", 1) == 0) return false;
  std::vector<int64_t> axes;
  if (node.input(1).valid()) {
    const Tensor* given = graph.constant(node.input(1));
    if (given == nullptr) return false;
    axes = given->to_int64();
  }
  if (axes.empty()) {
    if (node.attributes.int_or("noop_with_empty_axes", 0) != 0) return true;
    return std::all_of(dims->begin(), dims->end(), [](const Dim& dim) { return dim.size == 1; });
  }
  const auto rank = static_cast<int64_t>(dims->size());
  return std::all_of(axes.begin(), axes.end(), [&](int64_t axis) {
    if (axis < 0) axis += rank;
    return axis >= 0 && axis < rank && (*dims)[static_cast<size_t>(axis)].size == 1;
  });
}

// Whether a Slice to `end` on `axis` takes all there is: 2^47 bytes are more than an address space.
bool reaches_end(const ValueType& type, size_t axis, int64_t end) {
  const Dim& dim = (*type.dims)[axis];
  if (dim.known()) return end >= dim.size;
  constexpr int64_t kTooManyBytes = int64_t{1} << 47;
  int64_t bytes = end;
  for (size_t i = 0; i < type.dims->size(); ++i) {
    const int64_t size = i == axis ? 1 : (*type.dims)[i].known() ? (*type.dims)[i].size : 1;
    if (__builtin_mul_overflow(bytes, size, &bytes)) return true;
  }
  return bytes >= kTooManyBytes / std::max<int64_t>(1, dtype_bytes(type.dtype, 1));
}

bool slices_nothing(const Graph& graph, const Node& node) {
  const ValueType& type = graph.value(node.inputs[0]).type;
  const Tensor* starts = graph.constant(node.input(1));
  const Tensor* ends = graph.constant(node.input(2));
  if (!type.dims || type.dtype == DType::kUndefined || starts == nullptr || ends == nullptr)
    return false;
  const auto rank = static_cast<int64_t>(type.dims->size());
  const std::vector<int64_t> from = starts->to_int64();
  const std::vector<int64_t> to = ends->to_int64();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < from.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (node.input(3).valid()) {
    if (graph.constant(node.input(3)) == nullptr) return false;
    axes = graph.constant(node.input(3))->to_int64();
  }
  if (node.input(4).valid() &&
      (graph.constant(node.input(4)) == nullptr || !is_all(*graph.constant(node.input(4)), 1)))
    return false;
  if (from.size() != to.size() || from.size() != axes.size()) return false;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank || from[i] != 0) return false;
    if (to[i] < 0 || !reaches_end(type, static_cast<size_t>(axis), to[i])) return false;
  }
  return true;
}

bool changes_nothing(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || !node.inputs[0].valid()) return false;
  switch (node.kind) {
    case OpKind::kReduceMax:
    case OpKind::kReduceMean:
    case OpKind::kReduceMin:
    case OpKind::kReduceProd:
    case OpKind::kReduceSum: return reduces_nothing(graph, node);
    case OpKind::kSlice: return slices_nothing(graph, node);
    case OpKind::kTile: {
      const Tensor* repeats = graph.constant(node.input(1));
      return repeats != nullptr && is_all(*repeats, 1);
    }
    case OpKind::kSplit: return node.outputs.size() == 1;
    case OpKind::kClip: return !node.input(1).valid() && !node.input(2).valid();
    default: return repeats_producer(graph, node);
  }
}

ValueId unchanged_value(const Graph& graph, const Node& node) {
  if (const auto kept = beside_neutral(graph, node)) return node.inputs[*kept];
  if (node.inputs.empty() || !node.inputs[0].valid()) return {};
  if (const ValueId value = before_inverse(graph, node); value.valid()) return value;
  return changes_nothing(graph, node) ? node.inputs[0] : ValueId{};
}

bool eliminate_neutral(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.outputs.empty() || !node.outputs[0].valid()) return false;
  const ValueId value = unchanged_value(graph, node);
  const ValueId output = node.outputs[0];
  if (!value.valid() || !may_redirect(graph, output, value)) return false;
  graph.replace_all_uses_keeping_output_name(output, value);
  graph.erase_node(id);
  return true;
}

}  // namespace

int eliminate_neutral_operations(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += eliminate_neutral_operations(subgraph.graph());
    changes += eliminate_neutral(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
