#include "quantize/fuse_qoperators.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "quantize/quantized_pattern.h"

namespace lathe {
namespace {

using Values = std::vector<QuantizedValue>;

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
  void append(std::vector<ValueId>& inputs, const QuantizedValue& value) {
    inputs.insert(inputs.end(), {value.integers, value.scale, zero_point_of(graph_, value)});
  }

  void append_parameters(std::vector<ValueId>& inputs, const QuantizedResult& result) {
    inputs.insert(inputs.end(), {result.value.scale, zero_point_of(graph_, result.value)});
  }

  bool fuse(NodeId id) {
    const OpKind kind = graph_.node(id).kind;
    if (kind == OpKind::kConv) return fuse_conv(id);
    if (kind == OpKind::kMatMul) return fuse_matmul(id);
    if (kind == OpKind::kGemm) return fuse_gemm(id);
    if (elementwise_kind(kind) != OpKind::kOpaque) return fuse_elementwise(id);
    return moves_integers(kind) && fuse_move(id);
  }

  // 8 bits, one scale for all.
  std::optional<QuantizedValue> activation(ValueId value) {
    auto found = dequantized_from(graph_, value);
    if (!found || found->axis >= 0 || found->dtype == DType::kInt32) return {};
    return found;
  }

  std::optional<QuantizedValue> weight(ValueId value, int64_t channel_axis) {
    auto found = dequantized_from(graph_, value);
    if (!found || found->dtype == DType::kInt32) return {};
    return found->axis < 0 || found->axis == channel_axis ? found : std::nullopt;
  }

  // Signed activations with unsigned weights have no kernel.
  static bool types_fit(const QuantizedValue& x, const QuantizedValue& w) {
    return x.dtype == DType::kUInt8 || w.dtype == DType::kInt8;
  }

  // The int32 constant behind a bias, when its scale is that of the sums. An absent bias fits, too.
  bool bias_fits(ValueId bias, const QuantizedValue& x, const QuantizedValue& w,
                 ValueId& integers) {
    if (!bias.valid()) return true;
    const auto found = dequantized_from(graph_, bias);
    if (!found || found->dtype != DType::kInt32) return false;
    const auto scales = graph_.constant(found->scale)->values<float>();
    const auto weights = graph_.constant(w.scale)->values<float>();
    const double input = graph_.constant(x.scale)->values<float>()[0];
    if (scales.size() != weights.size()) return false;
    for (size_t i = 0; i < scales.size(); ++i)
      if (std::fabs(scales[i] - input * weights[i]) > 1e-6 * scales[i]) return false;
    if (!is_symmetric(graph_, *found)) return false;
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
    graph_.erase_node(result.quantize);
    if (result.activation.valid()) graph_.erase_node(result.activation);
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
    const auto y = quantized_result(graph_, id);
    ValueId bias;
    if (!x || !w || !y || !types_fit(*x, *w) || y->value.dtype != x->dtype ||
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
        (b->axis >= 0 && (held == nullptr || held->rank() != 2)))
      return false;
    std::vector<ValueId> inputs;
    if (const auto y = quantized_result(graph_, id); y && y->value.dtype == a->dtype) {
      append(inputs, *a);
      append(inputs, *b);
      append_parameters(inputs, *y);
      replace(id, *y, OpKind::kQLinearMatMul, std::move(inputs), {});
      return true;
    }
    if (held == nullptr) return false;
    inputs = {a->integers, b->integers, a->scale, b->scale, zero_point_of(graph_, *a),
              zero_point_of(graph_, *b)};
    replace_float(id, OpKind::kMatMulIntegerToFloat, std::move(inputs), {});
    return true;
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
    if (const auto y = quantized_result(graph_, id); y && y->value.dtype == a->dtype) {
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
    Values values;
    for (const ValueId input : node.inputs) {
      const auto value = activation(input);
      if (!value) return false;
      values.push_back(*value);
    }
    const auto y = quantized_result(graph_, id);
    if (!y) return false;
    for (const QuantizedValue& value : values)
      if (value.dtype != y->value.dtype) return false;
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
    const auto y = quantized_result(graph_, id);
    if (!x || !y || y->activation.valid() || !same_parameters(graph_, *x, y->value)) return false;
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
