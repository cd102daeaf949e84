#include "torchscript/emit/quantized_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "evaluate/window.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"
#include "torchscript/emit/repeating_factors.h"

namespace lathe {
namespace {

/// An op's result: a group, or why there is none.
struct Match {
  std::optional<QuantizedGroup> group;
  std::string reason;
};
Match no(std::string reason) { return {std::nullopt, std::move(reason)}; }

/// Ops that move elements and whose evaluation is made of ATen functions that take quantized
/// tensors.
bool is_move(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kMoves[] = {kDepthToSpace, kFlatten, kIdentity,  kReshape,  kSlice,
                               kSpaceToDepth, kSqueeze, kTranspose, kUnsqueeze};
  return std::ranges::find(kMoves, kind) != std::end(kMoves);
}

class Planner {
 public:
  Planner(const Graph& graph, QuantizedEngine engine) : graph_(graph) { plan_.engine = engine; }

  QuantizedPlan run() {
    const std::vector<NodeId> order = graph_.order();
    for (const NodeId id : order) find_value(id);
    for (const NodeId id : order) {
      const Node& node = graph_.node(id);
      if (node.kind == OpKind::kQuantizeLinear || node.kind == OpKind::kDequantizeLinear) continue;
      if (grouped_.count(id) > 0 || !takes_part(node)) continue;
      Match match = match_node(id, node);
      if (match.group)
        take(std::move(*match.group));
      else
        plan_.in_float.push_back({id, std::move(match.reason)});
    }
    for (const NodeId id : order) find_border(id);
    return std::move(plan_);
  }

 private:
  // A QuantizeLinear whose every reader is a DequantizeLinear with the same parameters.
  void find_value(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.kind != OpKind::kQuantizeLinear) return;
    const Value& value = graph_.value(node.outputs[0]);
    const DType from = graph_.value(node.input(0)).type.dtype;
    const auto params = uint8_params(graph_, node);
    if (!params || graph_.is_output(node.outputs[0]) || graph_.constant(node.input(0)) ||
        (from != DType::kFloat32 && from != DType::kUndefined))
      return;
    for (const NodeId user : value.users) {
      const Node& dq = graph_.node(user);
      if (dq.kind != OpKind::kDequantizeLinear || dq.input(0) != node.outputs[0] ||
          uint8_params(graph_, dq) != params)
        return;
      for (const NodeId reader : graph_.value(dq.outputs[0]).users)
        if (!graph_.node(reader).subgraphs.empty()) return;
    }
    for (const NodeId user : value.users) read_[graph_.node(user).outputs[0]] = *params;
    written_[node.outputs[0]] = *params;
  }

  void find_border(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.kind == OpKind::kQuantizeLinear && grouped_.count(id) == 0) {
      const auto found = written_.find(node.outputs[0]);
      if (found != written_.end()) plan_.quantize.push_back({id, found->second});
    }
    if (node.kind != OpKind::kDequantizeLinear) return;
    const auto found = read_.find(node.outputs[0]);
    if (found != read_.end()) {
      plan_.dequantize.push_back({id, found->second});
      return;
    }
    const Value& value = graph_.value(node.outputs[0]);
    const bool packed = !value.users.empty() && !graph_.is_output(node.outputs[0]) &&
                        std::all_of(value.users.begin(), value.users.end(), [&](NodeId user) {
                          return grouped_.count(user) > 0 && constants_.count(node.outputs[0]) > 0;
                        });
    if (packed) plan_.packed.push_back(id);
  }

  bool is_quantized(ValueId id) const { return read_.count(id) > 0; }

  // Reads a quantized value or a quantized weight.
  bool takes_part(const Node& node) const {
    if (node.kind == OpKind::kShape || node.kind == OpKind::kSize) return false;
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return is_quantized(input) ||
             (op_row(node.kind).weight_input >= 0 && dequantizer(graph_, input) != nullptr);
    });
  }

  void take(QuantizedGroup group) {
    for (const NodeId id : {group.node, group.bias_add, group.activation, group.quantize})
      if (id.valid()) grouped_.insert(id);
    for (const NodeId id : {group.node, group.bias_add}) {
      if (!id.valid()) continue;
      for (const ValueId input : graph_.node(id).inputs)
        if (is_constant_floats(graph_, input)) constants_.insert(input);
    }
    if (!group.quantize.valid()) read_[graph_.node(group.node).outputs[0]] = group.output;
    plan_.groups.push_back(std::move(group));
  }

  /// Fills activation, relu, clamp, quantize and output from what follows `value`.
  std::string follow(ValueId value, QuantizedGroup& group, bool takes_activation) const {
    const auto tail = quantized_tail(graph_, value, takes_activation);
    if (!tail) return "its output is not quantized";
    const auto written = written_.find(tail->integers);
    if (written == written_.end()) return "its output is not quantized to 8 bits per tensor";
    group.activation = tail->activation;
    group.quantize = tail->quantize;
    group.output = written->second;
    if (tail->bounds) absorb(*tail->bounds, group);
    return {};
  }

  // Rounding is monotone: clamping before it is clamping to the rounded bounds after it, and
  // saturation is such a clamp.
  static void absorb(const ActivationBounds& bounds, QuantizedGroup& group) {
    const bool low = uint8_bound(bounds.low, group.output) == 0;
    const bool high = uint8_bound(bounds.high, group.output) == 255;
    group.relu = !low && bounds.low == 0;
    if (!high || (!low && !group.relu)) group.clamp = bounds;
  }

  Match match_node(NodeId id, const Node& node) const {
    QuantizedGroup group;
    group.node = id;
    switch (node.kind) {
      case OpKind::kConv:
      case OpKind::kConvTranspose: return match_convolution(std::move(group), node);
      case OpKind::kGemm:
      case OpKind::kMatMul: return match_linear(std::move(group), node);
      case OpKind::kAdd:
      case OpKind::kMul: return match_binary(std::move(group), node);
      case OpKind::kConcat:
        group.op = QuantizedOp::kConcat;
        return match_all_inputs(std::move(group), node);
      case OpKind::kSigmoid: return match_sigmoid(std::move(group), node);
      case OpKind::kHardSwish:
        group.op = QuantizedOp::kHardSwish;
        return match_one_input(std::move(group), node, false);
      case OpKind::kLeakyRelu:
        group.op = QuantizedOp::kLeakyRelu;
        return match_one_input(std::move(group), node, false);
      default: return match_keeping(std::move(group), node);
    }
  }

  Match finish(QuantizedGroup group, ValueId output, bool takes_activation) const {
    std::string reason = follow(output, group, takes_activation);
    if (!reason.empty()) return no(std::move(reason));
    return {std::move(group), {}};
  }

  Match match_convolution(QuantizedGroup group, const Node& node) const {
    const bool transposed = node.kind == OpKind::kConvTranspose;
    group.op = transposed ? QuantizedOp::kConvTranspose : QuantizedOp::kConv;
    group.data = {0};
    if (!is_quantized(node.input(0))) return no("its input is not quantized");
    const QuantizedWeight weight = quantized_weight(graph_, node, 1, transposed ? 1 : 0);
    if (!weight.problem.empty()) return no(weight.problem);
    const Shape& shape = weight.codes.shape();
    if (shape.size() < 3 || shape.size() > 5) return no("more than three spatial axes");
    if (node.input(2).valid() && !is_constant_floats(graph_, node.input(2)))
      return no("its bias is not constant");
    const std::vector<int64_t> kernel(shape.begin() + 2, shape.end());
    const std::optional<Window> window = static_window(graph_, node, kernel);
    if (!window) return no("its padding depends on the input's size");
    std::string reason =
        transposed ? transposed_problem(node, *window, weight) : grouped_problem(node, shape);
    if (!reason.empty()) return no(std::move(reason));
    return finish(std::move(group), node.outputs[0], true);
  }

  // LibTorch 1.13 packs groups for the first input that it sees: another batch size ends in an
  // exception or in damaged memory, and some 1x1 kernels give wrong sums.
  std::string grouped_problem(const Node& node, const Shape& weight) const {
    const int64_t group = node.attributes.int_or("group", 1);
    const bool depthwise = weight[1] == 1 && weight[0] == group;
    if (plan_.engine != QuantizedEngine::kOnednn || group <= 1 || depthwise) return {};
    return "oneDNN's kernel for groups of several channels is not safe in this LibTorch";
  }

  std::string transposed_problem(const Node& node, const Window& window,
                                 const QuantizedWeight& weight) const {
    if (weight.scales.size() != 1) return "transposed kernels take one scale a weight";
    const std::string auto_pad = node.attributes.string_or("auto_pad", "NOTSET");
    const std::vector<int64_t> extra = node.attributes.ints_or("output_padding", {});
    if (!window.symmetric() || auto_pad.starts_with("SAME") ||
        !node.attributes.ints_or("output_shape", {}).empty() ||
        (!extra.empty() && extra.size() != window.rank()))
      return "its padding is not the same on both sides";
    const bool onednn = plan_.engine == QuantizedEngine::kOnednn;
    if (onednn && std::any_of(extra.begin(), extra.end(), [](int64_t e) { return e != 0; }))
      return "oneDNN's kernel has no output_padding";
    const Shape& shape = weight.codes.shape();  // [inputs, outputs / groups, ...]
    if (onednn && shape[0] != shape[1] * node.attributes.int_or("group", 1))
      return "oneDNN's kernel computes other channel counts wrongly in LibTorch 2";
    if (!onednn && window.rank() != 2) return "QNNPACK's kernel has two spatial axes";
    return {};
  }

  Match match_linear(QuantizedGroup group, const Node& node) const {
    group.op = QuantizedOp::kLinear;
    group.data = {0};
    if (!is_quantized(node.input(0))) return no("its input is not quantized");
    const bool gemm = node.kind == OpKind::kGemm;
    const bool turned = gemm && node.attributes.int_or("transB", 0) != 0;
    const QuantizedWeight weight = quantized_weight(graph_, node, 1, turned ? 0 : 1);
    if (!weight.problem.empty()) return no(weight.problem);
    const std::optional<Dims>& dims = graph_.value(node.input(0)).type.dims;
    if (weight.codes.rank() != 2) return no("its weight is not a matrix");
    if (!dims || dims->size() < 2) return no("its input is no matrix");
    const int64_t outputs = weight.codes.shape()[turned ? 0 : 1];
    ValueId output = node.outputs[0];
    if (gemm) {
      const Attributes& attributes = node.attributes;
      const bool plain = attributes.int_or("transA", 0) == 0 &&
                         attributes.float_or("alpha", 1) == 1 &&
                         (!node.input(2).valid() || attributes.float_or("beta", 1) == 1);
      if (!plain) return no("its alpha, beta or transA is not the usual one");
      if (node.input(2).valid() && !is_bias(node.input(2), outputs))
        return no("its bias is no vector");
    } else if (const auto user = graph_.single_user(output)) {
      const Node& add = graph_.node(*user);
      if (add.kind == OpKind::kAdd) {
        const size_t own = add.input(0) == output ? 0 : 1;
        if (is_bias(add.input(1 - own), outputs)) {
          group.bias_add = *user;
          output = add.outputs[0];
        }
      }
    }
    return finish(std::move(group), output, true);
  }

  // A constant that adds one number to each of the last axis' `count` elements.
  bool is_bias(ValueId id, int64_t count) const {
    if (!is_constant_floats(graph_, id)) return false;
    const Tensor* values = graph_.constant(id);
    if (values == nullptr)
      values = graph_.constant(graph_.node(graph_.value(id).producer).input(0));
    const Shape& shape = values->shape();
    return values->numel() == count && !shape.empty() && shape.back() == count && shape.size() <= 2;
  }

  Match match_binary(QuantizedGroup group, const Node& node) const {
    group.op = node.kind == OpKind::kAdd ? QuantizedOp::kAdd : QuantizedOp::kMul;
    if (!is_quantized(node.input(0)) || !is_quantized(node.input(1)))
      return no("one of its inputs is not quantized");
    group.data = {0, 1};
    const std::optional<Dims>& a = graph_.value(node.input(0)).type.dims;
    const std::optional<Dims>& b = graph_.value(node.input(1)).type.dims;
    const bool same = a && b && *a == *b && std::all_of(a->begin(), a->end(), [](const Dim& d) {
                        return d.known() || !d.symbol.empty();
                      });
    if (!same && plan_.engine == QuantizedEngine::kQnnpack)
      return no("QNNPACK's kernel takes inputs of one shape");
    return finish(std::move(group), node.outputs[0], true);
  }

  Match match_all_inputs(QuantizedGroup group, const Node& node) const {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!is_quantized(node.inputs[i])) return no("one of its inputs is not quantized");
      group.data.push_back(i);
    }
    return finish(std::move(group), node.outputs[0], true);
  }

  Match match_one_input(QuantizedGroup group, const Node& node, bool takes_activation) const {
    if (!is_quantized(node.input(0))) return no("its input is not quantized");
    group.data = {0};
    return finish(std::move(group), node.outputs[0], takes_activation);
  }

  Match match_sigmoid(QuantizedGroup group, const Node& node) const {
    group.op = QuantizedOp::kSigmoid;
    Match match = match_one_input(std::move(group), node, false);
    if (match.group && plan_.engine == QuantizedEngine::kQnnpack &&
        match.group->output != ScaleZeroPoint{1.0F / 256, 0})
      return no("QNNPACK's kernel gives scale 1/256 and zero point 0");
    return match;
  }

  // Ops whose quantized form has its input's scale and zero point.
  Match match_keeping(QuantizedGroup group, const Node& node) const {
    std::string problem = keeping_problem(node, group);
    if (!problem.empty()) return no(std::move(problem));
    if (!is_quantized(node.input(0))) return no("its input is not quantized");
    const ScaleZeroPoint params = read_.at(node.input(0));
    group.data = {0};
    QuantizedGroup whole = group;
    const std::string reason = follow(node.outputs[0], whole, false);
    if (reason.empty() && whole.output == params) return {std::move(whole), {}};
    // Quantizing again what only moved would change nothing, so nobody need ask for it.
    if (rounds(group.op))
      return no(reason.empty()
                    ? "LibTorch's kernel keeps its input's scale, here the output has its own"
                    : reason);
    for (const NodeId user : graph_.value(node.outputs[0]).users)
      if (!graph_.node(user).subgraphs.empty()) return no("a subgraph reads its output");
    group.output = params;
    return {std::move(group), {}};
  }

  // Clamping moves nothing, but its bounds are rounded.
  static bool rounds(QuantizedOp op) {
    return op == QuantizedOp::kAveragePool || op == QuantizedOp::kClamp;
  }

  std::string keeping_problem(const Node& node, QuantizedGroup& group) const {
    const std::optional<Dims>& dims = graph_.value(node.input(0)).type.dims;
    const bool image = dims && dims->size() == 4;
    if (node.outputs.size() != 1) return "several outputs";
    if (is_move(node.kind)) {
      group.op = QuantizedOp::kMove;
      return {};
    }
    switch (node.kind) {
      case OpKind::kRelu:
      case OpKind::kClip:
        group.op = QuantizedOp::kClamp;
        group.clamp = clamp_of(graph_, node);
        return group.clamp ? "" : "its bounds are not constant";
      case OpKind::kResize:
        group.op = QuantizedOp::kResize;
        return repeating_factors(graph_, node) ? "" : "it does more than repeat elements";
      case OpKind::kMaxPool:
      case OpKind::kAveragePool: {
        const bool average = node.kind == OpKind::kAveragePool;
        group.op = average ? QuantizedOp::kAveragePool : QuantizedOp::kMaxPool;
        const std::vector<int64_t> kernel = node.attributes.ints_or("kernel_shape", {});
        if (!image || kernel.size() != 2) return "LibTorch's kernel has two spatial axes";
        const std::optional<Window> window = static_window(graph_, node, kernel);
        if (!window || node.attributes.int_or("ceil_mode", 0) != 0) return "its padding";
        for (size_t i = 0; i < 2; ++i) {
          const bool padded = window->begin[i] != 0 || window->end[i] != 0;
          if (average && (padded || window->dilations[i] != 1)) return "its padding";
          if (window->begin[i] != window->end[i] || 2 * window->begin[i] > kernel[i])
            return "its padding";
        }
        return {};
      }
      case OpKind::kGlobalAveragePool:
        group.op = QuantizedOp::kAveragePool;
        return image ? "" : "LibTorch's kernel has two spatial axes";
      default: return "LibTorch has no quantized form of it";
    }
  }

  const Graph& graph_;
  QuantizedPlan plan_;
  std::map<ValueId, ScaleZeroPoint> written_;  // outputs of QuantizeLinear
  /// Outputs of their DequantizeLinears, and what only moves such values.
  std::map<ValueId, ScaleZeroPoint> read_;
  std::set<NodeId> grouped_;
  std::set<ValueId> constants_;  // that a group packs
};

}  // namespace

QuantizedPlan plan_quantized_ops(const Graph& graph, QuantizedEngine engine) {
  return Planner(graph, engine).run();
}

}  // namespace lathe
