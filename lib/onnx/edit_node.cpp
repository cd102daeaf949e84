#include "onnx/edit_node.h"

#include <algorithm>
#include <limits>

namespace lathe {
namespace {

void erase_if_unused(Graph& graph, ValueId id) {
  if (!id.valid() || !graph.is_live(id)) return;
  const Value& value = graph.value(id);
  if (value.is_constant() && value.users.empty() && !graph.is_output(id) && !graph.is_input(id))
    graph.erase_value(id);
}

template <class T>
Tensor saturated(double value) {
  const double low = static_cast<double>(std::numeric_limits<T>::min());
  const double high = static_cast<double>(std::numeric_limits<T>::max());
  if (!(value > low)) return Tensor::scalar<T>(std::numeric_limits<T>::min());
  if (value >= high) return Tensor::scalar<T>(std::numeric_limits<T>::max());
  return Tensor::scalar<T>(static_cast<T>(value));
}

Tensor bits16(DType dtype, uint16_t bits) {
  const std::byte low{static_cast<uint8_t>(bits & 0xff)}, high{static_cast<uint8_t>(bits >> 8)};
  return Tensor::from_bytes(dtype, {}, {low, high});
}

/// Ops whose output has the rank and element type of input 0.
bool follows_first_input(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kFunctions[] = {kAbs,         kCeil,      kClip,      kElu,      kExp,  kFloor,
                                   kHardSigmoid, kHardSwish, kLeakyRelu, kLog,      kNeg,  kPRelu,
                                   kRelu,        kSelu,      kSigmoid,   kSoftplus, kSqrt, kTanh};
  constexpr OpKind kLayers[] = {kAveragePool,
                                kBatchNormalization,
                                kConv,
                                kConvTranspose,
                                kGlobalAveragePool,
                                kGlobalMaxPool,
                                kInstanceNormalization,
                                kLRN,
                                kLayerNormalization,
                                kLogSoftmax,
                                kMaxPool,
                                kSoftmax};
  constexpr OpKind kMoves[] = {kConcat, kDropout, kIdentity, kPad,
                               kResize, kSlice,   kSplit,    kTranspose};
  const auto is_in = [kind](const auto& kinds) {
    return std::ranges::find(kinds, kind) != std::end(kinds);
  };
  return is_in(kFunctions) || is_in(kLayers) || is_in(kMoves);
}

// Bounds the walk, so that import stays linear in the number of nodes.
constexpr int kMaxSteps = 200;

}  // namespace

std::string NodeEdit::stem() const {
  for (const ValueId output : node().outputs)
    if (output.valid()) return graph.value(output).name;
  return node().name;
}

ValueId NodeEdit::constant(std::string_view suffix, Tensor tensor) const {
  return graph.add_constant(stem().append("_").append(suffix), std::move(tensor));
}

ValueId NodeEdit::op(OpKind kind, std::vector<ValueId> inputs, std::string_view suffix,
                     Attributes attributes, ValueType type) const {
  std::string tail(1, '_');
  tail.append(suffix);
  const ValueId output = graph.add_op(kind, std::move(inputs), stem() + tail, std::move(attributes),
                                      node().name + tail);
  graph.edit_type(output) = std::move(type);
  return output;
}

void set_input(Graph& graph, NodeId id, size_t index, ValueId value) {
  while (graph.node(id).inputs.size() < index) graph.add_node_input(id, ValueId{});
  if (graph.node(id).inputs.size() == index)
    graph.add_node_input(id, value);
  else
    graph.replace_input(id, index, value);
}

void keep_inputs(Graph& graph, NodeId id, size_t count) {
  const std::vector<ValueId> before = graph.node(id).inputs;
  count = std::min(count, before.size());
  while (count > 0 && !before[count - 1].valid()) --count;
  graph.truncate_inputs(id, count);
  for (size_t i = count; i < before.size(); ++i) erase_if_unused(graph, before[i]);
}

void drop_input(Graph& graph, NodeId id, size_t index) {
  const ValueId before = graph.node(id).input(index);
  if (!before.valid()) return;
  graph.replace_input(id, index, ValueId{});
  erase_if_unused(graph, before);
  keep_inputs(graph, id, graph.node(id).inputs.size());
}

void replace_node(Graph& graph, NodeId id, const std::vector<ValueId>& outputs) {
  const std::vector<ValueId> old = graph.node(id).outputs;
  const std::vector<ValueId> inputs = graph.node(id).inputs;
  std::vector<std::string> names(old.size());
  for (size_t i = 0; i < old.size() && i < outputs.size(); ++i) {
    if (!old[i].valid() || !outputs[i].valid()) continue;
    names[i] = graph.value(old[i]).name;
    const ValueType type = graph.value(old[i]).type;
    const bool typed = !type.is_tensor() || type.dtype != DType::kUndefined || type.dims;
    if (typed && !graph.value(outputs[i]).is_constant()) graph.edit_type(outputs[i]) = type;
    graph.replace_all_uses(old[i], outputs[i]);
  }
  graph.erase_node(id);
  for (size_t i = 0; i < names.size(); ++i)
    if (!names[i].empty()) graph.rename(outputs[i], names[i]);
  for (const ValueId input : inputs) erase_if_unused(graph, input);
}

void insert_after(Graph& graph, ValueId value, OpKind kind, Attributes attributes,
                  std::string_view suffix) {
  const std::string name = graph.value(value).name;
  const std::string inner = graph.fresh_name(std::string(name).append("_").append(suffix));
  graph.rename(value, inner);
  const ValueId outer = graph.add_value(name, graph.value(value).type);
  graph.replace_all_uses(value, outer);
  Node node;
  node.kind = kind;
  node.inputs = {value};
  node.outputs = {outer};
  node.attributes = std::move(attributes);
  graph.add_node(std::move(node));
}

void set_kind(Graph& graph, NodeId id, OpKind kind) {
  Node& node = graph.edit(id);
  node.kind = kind;
  node.opaque_domain.clear();
  node.opaque_type.clear();
}

void set_opaque(Graph& graph, NodeId id, std::string domain, std::string type) {
  Node& node = graph.edit(id);
  node.kind = OpKind::kOpaque;
  node.opaque_domain = std::move(domain);
  node.opaque_type = std::move(type);
}

std::optional<int64_t> known_rank(const Graph& graph, ValueId id) {
  for (int step = 0; step < kMaxSteps && id.valid(); ++step) {
    const Value& value = graph.value(id);
    if (value.type.is_tensor() && value.type.dims)
      return static_cast<int64_t>(value.type.dims->size());
    if (!value.producer.valid()) return std::nullopt;
    const Node& node = graph.node(value.producer);
    if (node.kind == OpKind::kGemm || node.kind == OpKind::kFlatten) return 2;
    if (node.kind == OpKind::kReshape) {
      const Tensor* shape = graph.constant(node.input(1));
      if (shape == nullptr) return std::nullopt;
      return shape->numel();
    }
    const bool cast = node.kind == OpKind::kCast;
    // A constant of rank 0 or 1 does not raise the rank of what it is added to.
    const bool arithmetic = node.kind == OpKind::kAdd || node.kind == OpKind::kMul ||
                            node.kind == OpKind::kSub || node.kind == OpKind::kDiv;
    const Tensor* operand = arithmetic ? graph.constant(node.input(1)) : nullptr;
    const bool small_operand = operand != nullptr && operand->rank() == 0;
    if (!cast && !small_operand && !follows_first_input(node.kind)) return std::nullopt;
    id = node.input(0);
  }
  return std::nullopt;
}

DType known_dtype(const Graph& graph, ValueId id) {
  for (int step = 0; step < kMaxSteps && id.valid(); ++step) {
    const Value& value = graph.value(id);
    if (value.type.is_tensor() && value.type.dtype != DType::kUndefined) return value.type.dtype;
    if (!value.producer.valid()) break;
    const Node& node = graph.node(value.producer);
    size_t next = 0;
    switch (node.kind) {
      case OpKind::kCast: {
        const Attribute* to = node.attributes.find("to");
        const int64_t* number = to != nullptr ? std::get_if<int64_t>(to) : nullptr;
        if (number == nullptr || *number <= 0 || *number >= kDTypeCount) return DType::kFloat32;
        return static_cast<DType>(*number);
      }
      case OpKind::kShape:
      case OpKind::kSize:
      case OpKind::kArgMax:
      case OpKind::kArgMin:
      case OpKind::kNonZero: return DType::kInt64;
      case OpKind::kEqual:
      case OpKind::kLess:
      case OpKind::kGreater:
      case OpKind::kAnd:
      case OpKind::kOr:
      case OpKind::kNot:
      case OpKind::kXor: return DType::kBool;
      case OpKind::kWhere:
      case OpKind::kDequantizeLinear: next = 1; break;
      // The second input, mostly a constant, ends the walk at once.
      case OpKind::kAdd:
      case OpKind::kSub:
      case OpKind::kMul:
      case OpKind::kDiv:
      case OpKind::kConv:
      case OpKind::kConvTranspose:
      case OpKind::kGemm:
      case OpKind::kMatMul:
      case OpKind::kBatchNormalization:
      case OpKind::kInstanceNormalization:
      case OpKind::kPRelu:
        if (graph.constant(node.input(1)) != nullptr) next = 1;
        break;
      default: break;
    }
    id = node.input(next);
  }
  return DType::kUndefined;
}

Tensor scalar_tensor(DType dtype, double value) {
  switch (dtype) {
    case DType::kFloat64: return Tensor::scalar<double>(value);
    case DType::kFloat16: return bits16(dtype, float_to_half(static_cast<float>(value)));
    case DType::kBFloat16: return bits16(dtype, float_to_bfloat16(static_cast<float>(value)));
    case DType::kInt8: return saturated<int8_t>(value);
    case DType::kUInt8: return saturated<uint8_t>(value);
    case DType::kInt16: return saturated<int16_t>(value);
    case DType::kUInt16: return saturated<uint16_t>(value);
    case DType::kInt32: return saturated<int32_t>(value);
    case DType::kUInt32: return saturated<uint32_t>(value);
    case DType::kInt64: return saturated<int64_t>(value);
    case DType::kUInt64: return saturated<uint64_t>(value);
    default: return Tensor::scalar<float>(static_cast<float>(value));
  }
}

std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId value) {
  const Tensor* tensor = graph.constant(value);
  if (tensor == nullptr) return std::nullopt;
  return tensor->to_int64();
}

}  // namespace lathe
