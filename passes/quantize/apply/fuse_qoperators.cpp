#include "quantize/apply/fuse_qoperators.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "qdq/qdq.h"
#include "quantize/plan/weight_params.h"
#include "run/constant_value.h"

namespace lathe {
namespace {

struct QuantizedValue {
  ValueId integers, scale;
  ValueId zero_point;  // invalid: zeros
  QuantParams params;
};

/// Of a QuantizeLinear or DequantizeLinear; no blocks.
std::optional<QuantizedValue> quantized_value(const Graph& graph, const Node& node) {
  const auto params = constant_params(graph, node);
  if (!params || node.attributes.int_or("block_size", 0) != 0) return {};
  const bool quantizes = node.kind == OpKind::kQuantizeLinear;
  return QuantizedValue{quantizes ? node.outputs[0] : node.inputs[0], node.inputs[1], node.input(2),
                        *params};
}

/// Nothing outside the bounds can be written with these integers.
bool is_idle(const ActivationBounds& bounds, const QuantParams& params) {
  const auto value = [&](int64_t q) {
    return static_cast<double>(q - params.zero_points[0]) * params.scales[0];
  };
  const double low = value(integer_min(params.dtype));
  const double high = value(integer_max(params.dtype));
  // A Clip's bound and the integers' end may differ by the scale's own rounding.
  const double slack = 1e-6 * (high - low);
  return low >= bounds.low - slack && high <= bounds.high + slack;
}

/// How a node's result becomes 8 bits again, with one scale for all.
struct QuantizedResult {
  QuantizedTail tail;
  QuantizedValue value;
};

/// Only an activation that the integers' own range makes idle may stand between.
std::optional<QuantizedResult> quantized_result(const Graph& graph, const Node& node) {
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i].valid()) return {};
  const auto tail = quantized_tail(graph, node.outputs[0]);
  const auto value = tail ? quantized_value(graph, graph.node(tail->quantize)) : std::nullopt;
  if (!value || !is_eight_bits(value->params.dtype) || value->params.axis >= 0 ||
      (tail->bounds && !is_idle(*tail->bounds, value->params)))
    return {};
  return QuantizedResult{*tail, *value};
}

OpKind elementwise_kind(OpKind kind) {
  switch (kind) {
    case OpKind::kAdd: return OpKind::kQLinearAdd;
    case OpKind::kMul: return OpKind::kQLinearMul;
    case OpKind::kConcat: return OpKind::kQLinearConcat;
    case OpKind::kSigmoid: return OpKind::kQLinearSigmoid;
    case OpKind::kLeakyRelu: return OpKind::kQLinearLeakyRelu;
    case OpKind::kAveragePool: return OpKind::kQLinearAveragePool;
    case OpKind::kGlobalAveragePool: return OpKind::kQLinearGlobalAveragePool;
    default: return OpKind::kOpaque;
  }
}

bool moves_integers(OpKind kind) {
  switch (kind) {
    case OpKind::kMaxPool:
    case OpKind::kReshape:
    case OpKind::kTranspose:
    case OpKind::kFlatten:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kSlice:
    case OpKind::kGather:
    case OpKind::kIdentity:
    case OpKind::kTile: return true;
    default: return false;
  }
}

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph) {}

  int run() {
    int changes = 0;
    for (const NodeId id : graph_.order())
      if (graph_.is_live(id) && fuse(id)) ++changes;
    return changes;
  }

 private:
  // Zeros are added to the graph where there are none.
  ValueId zero_point_of(const QuantizedValue& value) {
    if (value.zero_point.valid()) return value.zero_point;
    return graph_.add_constant(
        graph_.value(value.scale).name + "_zero_point",
        integer_tensor(value.params.dtype, graph_.constant(value.scale)->shape(),
                       value.params.zero_points));
  }

  void append(std::vector<ValueId>& inputs, const QuantizedValue& value) {
    inputs.insert(inputs.end(), {value.integers, value.scale, zero_point_of(value)});
  }

  void append_parameters(std::vector<ValueId>& inputs, const QuantizedResult& result) {
    inputs.insert(inputs.end(), {result.value.scale, zero_point_of(result.value)});
  }

  bool fuse(NodeId id) {
    const OpKind kind = graph_.node(id).kind;
    if (kind == OpKind::kConv) return fuse_conv(id);
    if (kind == OpKind::kMatMul) return fuse_matmul(id);
    if (kind == OpKind::kGemm) return fuse_gemm(id);
    if (elementwise_kind(kind) != OpKind::kOpaque) return fuse_elementwise(id);
    return moves_integers(kind) && fuse_move(id);
  }

  std::optional<QuantizedValue> dequantized_from(ValueId value) const {
    const Node* node = dequantizer(graph_, value);
    return node != nullptr ? quantized_value(graph_, *node) : std::nullopt;
  }

  // 8 bits, one scale for all.
  std::optional<QuantizedValue> activation(ValueId value) const { return weight(value, -1); }

  std::optional<QuantizedValue> weight(ValueId value, int64_t channel_axis) const {
    auto found = dequantized_from(value);
    if (!found || !is_eight_bits(found->params.dtype)) return {};
    return found->params.axis < 0 || found->params.axis == channel_axis ? found : std::nullopt;
  }

  // Signed activations with unsigned weights have no kernel.
  static bool types_fit(const QuantizedValue& x, const QuantizedValue& w) {
    return x.params.dtype == DType::kUInt8 || w.params.dtype == DType::kInt8;
  }

  // The int32 constant behind a bias, when its scale is that of the sums. An absent bias fits, too.
  bool bias_fits(ValueId bias, const QuantizedValue& x, const QuantizedValue& w,
                 ValueId& integers) {
    if (!bias.valid()) return true;
    const auto found = dequantized_from(bias);
    if (!found || found->params.dtype != DType::kInt32) return false;
    const std::vector<float>& scales = found->params.scales;
    const std::vector<float>& weights = w.params.scales;
    const double input = x.params.scales[0];
    if (scales.size() != weights.size()) return false;
    for (size_t i = 0; i < scales.size(); ++i)
      if (std::fabs(scales[i] - input * weights[i]) > 1e-6 * scales[i]) return false;
    if (!is_symmetric(found->params)) return false;
    integers = found->integers;
    return true;
  }

  // The new node makes `result`'s integers; the old ones go.
  void replace(NodeId id, const QuantizedResult& result, OpKind kind, std::vector<ValueId> inputs,
               Attributes attributes) {
    const std::string name = graph_.node(id).name;
    const ValueId old = result.value.integers;
    const ValueType type = graph_.value(old).type;
    const ValueId integers = graph_.add_op(kind, std::move(inputs), graph_.value(old).name + "_q",
                                           std::move(attributes), name + "_quantized");
    graph_.edit_type(integers) = type;
    graph_.replace_all_uses_keeping_output_name(old, integers);
    graph_.erase_node(result.tail.quantize);
    if (result.tail.activation.valid()) graph_.erase_node(result.tail.activation);
    graph_.erase_node(id);
  }

  void replace_float(NodeId id, OpKind kind, std::vector<ValueId> inputs, Attributes attributes) {
    const ValueId old = graph_.node(id).outputs[0];
    const ValueType type = graph_.value(old).type;
    const ValueId made = graph_.add_op(kind, std::move(inputs), graph_.value(old).name + "_q",
                                       std::move(attributes), graph_.node(id).name + "_quantized");
    graph_.edit_type(made) = type;
    graph_.replace_all_uses_keeping_output_name(old, made);
    graph_.erase_node(id);
  }

  bool fuse_conv(NodeId id) {
    const Node node = graph_.node(id);
    const auto x = activation(node.input(0));
    const auto w = weight(node.input(1), 0);
    const auto y = quantized_result(graph_, node);
    ValueId bias;
    if (!x || !w || !y || !types_fit(*x, *w) || y->value.params.dtype != x->params.dtype ||
        graph_.constant(w->integers) == nullptr || !bias_fits(node.input(2), *x, *w, bias))
      return false;
    std::vector<ValueId> inputs;
    append(inputs, *x);
    append(inputs, *w);
    append_parameters(inputs, *y);
    if (bias.valid()) inputs.push_back(bias);
    replace(id, *y, OpKind::kQLinearConv, std::move(inputs), node.attributes);
    return true;
  }

  bool fuse_matmul(NodeId id) {
    const Node node = graph_.node(id);
    const auto a = activation(node.input(0));
    const Tensor* held = nullptr;
    auto b = activation(node.input(1));
    if (!b) b = weight(node.input(1), 1);
    if (b) held = graph_.constant(b->integers);
    // Scales by column are defined for matrices alone.
    if (!a || !b || !types_fit(*a, *b) ||
        (b->params.axis >= 0 && (held == nullptr || held->rank() != 2)))
      return false;
    std::vector<ValueId> inputs;
    if (const auto y = quantized_result(graph_, node);
        y && y->value.params.dtype == a->params.dtype) {
      append(inputs, *a);
      append(inputs, *b);
      append_parameters(inputs, *y);
      replace(id, *y, OpKind::kQLinearMatMul, std::move(inputs), {});
      return true;
    }
    if (held == nullptr) return false;
    inputs = {a->integers, b->integers, a->scale, b->scale, zero_point_of(*a), zero_point_of(*b)};
    const auto add = row_added(id, held->shape().back());
    if (add) inputs.push_back(add->row);
    replace_float(add ? add->node : id, OpKind::kMatMulIntegerToFloat, std::move(inputs), {});
    if (add) graph_.erase_node(id);
    return true;
  }

  struct AddedRow {
    NodeId node;
    ValueId row;  // floats
  };

  // The Add behind a product that adds one number to each column.
  std::optional<AddedRow> row_added(NodeId product, int64_t columns) {
    const ValueId value = graph_.node(product).outputs[0];
    const auto user = graph_.single_user(value);
    if (!user || graph_.node(*user).kind != OpKind::kAdd) return std::nullopt;
    const Node& add = graph_.node(*user);
    const ValueId other = add.inputs[add.inputs[0] == value ? 1 : 0];
    const Tensor row = constant_floats(graph_, other);
    if (!row.defined() || row.shape() != Shape{columns}) return std::nullopt;
    if (graph_.constant(other) != nullptr) return AddedRow{*user, other};
    return AddedRow{*user, graph_.add_constant(graph_.value(other).name + "_row", row)};
  }

  bool fuse_gemm(NodeId id) {
    const Node node = graph_.node(id);
    const int64_t channel_axis = node.attributes.int_or("transB", 0) != 0 ? 0 : 1;
    const auto a = activation(node.input(0));
    const auto b = weight(node.input(1), channel_axis);
    ValueId bias;
    if (!a || !b || !types_fit(*a, *b) || node.attributes.float_or("alpha", 1) != 1 ||
        node.attributes.float_or("beta", 1) != 1 || !bias_fits(node.input(2), *a, *b, bias))
      return false;
    Attributes attributes;
    attributes.set("transA", node.attributes.int_or("transA", 0));
    attributes.set("transB", node.attributes.int_or("transB", 0));
    std::vector<ValueId> inputs;
    append(inputs, *a);
    append(inputs, *b);
    if (const auto y = quantized_result(graph_, node);
        y && y->value.params.dtype == a->params.dtype) {
      inputs.push_back(bias);
      append_parameters(inputs, *y);
      replace(id, *y, OpKind::kQGemm, std::move(inputs), std::move(attributes));
      return true;
    }
    if (bias.valid()) inputs.push_back(bias);
    replace_float(id, OpKind::kQGemm, std::move(inputs), std::move(attributes));
    return true;
  }

  bool fuse_elementwise(NodeId id) {
    const Node node = graph_.node(id);
    // Of AveragePool: the QLinear form does not know them.
    for (const int64_t dilation : node.attributes.ints_or("dilations", {}))
      if (dilation != 1) return false;
    std::vector<QuantizedValue> values;
    for (const ValueId input : node.inputs) {
      const auto value = activation(input);
      if (!value) return false;
      values.push_back(*value);
    }
    const auto y = quantized_result(graph_, node);
    if (!y) return false;
    for (const QuantizedValue& value : values)
      if (value.params.dtype != y->value.params.dtype) return false;
    std::vector<ValueId> inputs;
    const bool concat = node.kind == OpKind::kConcat;
    if (concat) append_parameters(inputs, *y);
    for (const QuantizedValue& value : values) append(inputs, value);
    if (!concat) append_parameters(inputs, *y);
    Attributes attributes = node.attributes;
    attributes.erase("dilations");
    replace(id, *y, elementwise_kind(node.kind), std::move(inputs), std::move(attributes));
    return true;
  }

  bool fuse_move(NodeId id) {
    const Node node = graph_.node(id);
    const auto x = activation(node.input(0));
    const auto y = quantized_result(graph_, node);
    if (!x || !y || y->tail.bounds || x->params != y->value.params) return false;
    std::vector<ValueId> inputs = node.inputs;
    inputs[0] = x->integers;
    replace(id, *y, node.kind, std::move(inputs), node.attributes);
    return true;
  }

  Graph& graph_;
};

}  // namespace

int fuse_qoperators(Graph& graph) { return Fuser(graph).run(); }

}  // namespace lathe
