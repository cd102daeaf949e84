#include "torchscript/emit/quantized_nodes.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "evaluate/evaluate.h"
#include "evaluate/window.h"
#include "ir/error.h"
#include "qdq/qdq.h"
#include "run/constant_value.h"
#include "run/foreign_errors.h"
#include "torchscript/emit/quantized_engine_scope.h"
#include "torchscript/emit/repeating_factors.h"

namespace lathe {
namespace {

at::QEngine aten_engine(QuantizedEngine engine) {
  return engine == QuantizedEngine::kOnednn ? at::kONEDNN : at::kQNNPACK;
}

/// Through the dispatcher: these operators have no C++ functions, and the tracer records them.
c10::IValue call_operator(const std::string& name, const std::string& overload,
                          std::vector<c10::IValue> arguments) {
  const c10::OperatorHandle handle =
      c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), overload.c_str());
  handle.callBoxed(&arguments);
  return arguments.at(0);
}

c10::List<int64_t> list_of(const std::vector<int64_t>& values) {
  return c10::List<int64_t>(values);
}

bool is_quantized(const RuntimeValue& value) {
  return value.is_tensor() && value.tensor->is_quantized();
}

/// A quantized weight as a qint8 tensor, per tensor or per channel of `axis`. `transpose`: a
/// matrix, turned first (then `axis` is 1 and becomes 0).
at::Tensor packed_weight(const Graph& graph, const Node& node, int64_t axis,
                         bool transpose = false) {
  const QuantizedWeight weight = quantized_weight(graph, node, 1, axis);
  at::Tensor q = to_runtime(weight.codes).tensor;
  if (transpose) q = q.t();
  q = q.contiguous();
  const at::Tensor scale = at::tensor(weight.scales).to(at::kDouble);
  if (scale.numel() == 1) return at::_make_per_tensor_quantized_tensor(q, scale.item<double>(), 0);
  return at::_make_per_channel_quantized_tensor(q, scale, at::zeros({scale.numel()}, at::kLong),
                                                transpose ? 0 : axis);
}

RuntimeValue quantized_value(at::Tensor tensor) { return {std::move(tensor), DType::kUInt8}; }

/// The op itself, evaluated on the quantized tensor: it only moves elements.
at::Tensor move_elements(const Node& node, const std::vector<RuntimeValue>& inputs) {
  std::vector<at::Tensor> tensors;
  std::vector<DType> dtypes;
  for (const RuntimeValue& input : inputs) {
    tensors.push_back(input.tensor);
    dtypes.push_back(input.dtype);
  }
  const std::vector<DType> outputs = {DType::kUInt8};
  return evaluate_function(node.kind)({node, tensors, dtypes, outputs}).at(0);
}

at::Tensor clamp(at::Tensor x, const ActivationBounds& bounds) {
  // QNNPACK's kernels write rows in NCHW order whatever order they read.
  if (at::globalContext().qEngine() == at::kQNNPACK) x = x.contiguous();
  const double inf = std::numeric_limits<double>::infinity();
  if (bounds.low == 0 && bounds.high == inf) return at::relu(x);
  // ATen quantizes both bounds; an infinite one would become a NaN on the way.
  const double lowest = x.q_scale() * static_cast<double>(0 - x.q_zero_point());
  const double highest = x.q_scale() * static_cast<double>(255 - x.q_zero_point());
  return at::clamp(x, std::max(bounds.low, lowest), std::min(bounds.high, highest));
}

}  // namespace

QuantizedEngineScope::QuantizedEngineScope(QuantizedEngine engine)
    : previous_(static_cast<int>(at::globalContext().qEngine())) {
  const std::vector<at::QEngine>& have = at::globalContext().supportedQEngines();
  if (std::find(have.begin(), have.end(), aten_engine(engine)) == have.end())
    throw bad_environment(
        "torchscript.engine",
        fmt::format("this LibTorch has no {} kernels for quantized models", engine_name(engine)),
        {}, "choose a profile with another engine");
  at::globalContext().setQEngine(aten_engine(engine));
}

QuantizedEngineScope::~QuantizedEngineScope() {
  at::globalContext().setQEngine(static_cast<at::QEngine>(previous_));
}

QuantizedNodes::QuantizedNodes(const Graph& graph, const QuantizedPlan& plan) : graph_(graph) {
  const at::NoGradGuard no_gradients;
  for (const QuantizedGroup& group : plan.groups) {
    const Node& node = graph.node(group.node);
    const size_t number = groups_.size();
    try {
      groups_.push_back(prepare(group, number));
    } catch (...) {
      rethrow_foreign(place_of(node));
    }
    steps_[group.node] = {Role::kGroup, number, group.output};
    if (group.bias_add.valid()) steps_[group.bias_add] = {Role::kPass, number, {}};
    const bool clamps = groups_[number].plan.clamp.has_value();
    if (group.activation.valid())
      steps_[group.activation] = {clamps ? Role::kClamp : Role::kPass, number, {}};
    if (group.quantize.valid()) steps_[group.quantize] = {Role::kPass, number, {}};
  }
  for (const QuantizedBorder& border : plan.quantize)
    steps_[border.node] = {Role::kQuantize, 0, border.params};
  for (const QuantizedBorder& border : plan.dequantize)
    steps_[border.node] = {Role::kPass, 0, border.params};
  for (const NodeId id : plan.packed) steps_[id] = {Role::kPacked, 0, {}};
}

QuantizedNodes::Group QuantizedNodes::prepare(const QuantizedGroup& plan, size_t number) const {
  const Node& node = graph_.node(plan.node);
  Group group;
  group.plan = plan;
  group.op = fmt::format("quantized::{}", quantized_op_name(plan.op));
  const char* relu = plan.relu ? "_relu" : "";
  if (plan.op == QuantizedOp::kLinear) {
    const bool turned = node.kind != OpKind::kGemm || node.attributes.int_or("transB", 0) == 0;
    const at::Tensor weight = packed_weight(graph_, node, turned ? 1 : 0, turned);
    ValueId bias = node.input(2);
    if (plan.bias_add.valid())
      for (const ValueId input : graph_.node(plan.bias_add).inputs)
        if (is_constant_floats(graph_, input)) bias = input;
    c10::optional<at::Tensor> floats;
    if (bias.valid())
      floats = constant_value(graph_, bias).tensor->reshape({weight.size(0)}).contiguous();
    group.packed = call_operator("quantized::linear_prepack", "", {weight, floats});
  } else if (plan.op == QuantizedOp::kConv || plan.op == QuantizedOp::kConvTranspose) {
    const bool transposed = plan.op == QuantizedOp::kConvTranspose;
    const at::Tensor weight = packed_weight(graph_, node, transposed ? 1 : 0);
    const std::vector<int64_t> kernel = weight.sizes().slice(2).vec();
    const Window window = static_window(graph_, node, kernel).value();
    c10::optional<at::Tensor> bias;
    if (node.input(2).valid()) bias = constant_value(graph_, node.input(2)).tensor->contiguous();
    std::vector<int64_t> padding = window.begin;
    if (!window.symmetric()) {
      padding.assign(window.rank(), 0);
      for (size_t i = window.rank(); i-- > 0;)
        group.pads.insert(group.pads.end(), {window.begin[i], window.end[i]});
    }
    group.op += fmt::format("{}d", window.rank());
    const std::string prepack = group.op + "_prepack";
    if (!transposed && window.rank() > 1) group.overload = "new";
    std::vector<c10::IValue> arguments = {weight, bias, list_of(window.strides), list_of(padding)};
    if (transposed) {
      std::vector<int64_t> extra = node.attributes.ints_or("output_padding", {});
      extra.resize(window.rank(), 0);
      arguments.emplace_back(list_of(extra));
    }
    arguments.emplace_back(list_of(window.dilations));
    arguments.emplace_back(node.attributes.int_or("group", 1));
    group.packed = call_operator(prepack, "", std::move(arguments));
  }
  // There is no conv_transpose_relu: the clamp behind it stands for it.
  if (plan.relu && plan.op == QuantizedOp::kConvTranspose)
    group.plan.clamp =
        plan.clamp.value_or(ActivationBounds{0, std::numeric_limits<double>::infinity()});
  else
    group.op += relu;
  if (!group.packed.isNone()) group.attribute = fmt::format("packed_params_{}", number);
  return group;
}

void QuantizedNodes::add_to(torch::jit::Module& module) const {
  for (const Group& group : groups_)
    if (!group.attribute.empty())
      module.register_attribute(group.attribute, group.packed.type(), group.packed);
}

at::Tensor QuantizedNodes::call(const Group& group, const Node& node,
                                const std::vector<RuntimeValue>& inputs) const {
  const double scale = group.plan.output.scale;
  const int64_t zero_point = group.plan.output.zero_point;
  const at::Tensor x = inputs.at(group.plan.data.at(0)).tensor;
  const auto run = [&](std::vector<c10::IValue> arguments) {
    return call_operator(group.op, group.overload, std::move(arguments)).toTensor();
  };
  switch (group.plan.op) {
    case QuantizedOp::kConv:
    case QuantizedOp::kConvTranspose:
      return run({group.pads.empty() ? x : at::constant_pad_nd(x, group.pads, 0), group.packed,
                  scale, zero_point});
    case QuantizedOp::kLinear: return run({x, group.packed, scale, zero_point});
    case QuantizedOp::kAdd:
    case QuantizedOp::kMul: {
      const at::Tensor& y = inputs.at(1).tensor;
      // The first operand gives LibTorch the result's shape.
      const bool swap = y.numel() > x.numel();
      return run({swap ? y : x, swap ? x : y, scale, zero_point});
    }
    case QuantizedOp::kConcat: {
      c10::List<at::Tensor> parts;
      for (const size_t i : group.plan.data) parts.push_back(inputs.at(i).tensor);
      const int64_t axis = node.attributes.required_int("axis");
      return run({parts, axis < 0 ? axis + x.dim() : axis, scale, zero_point});
    }
    case QuantizedOp::kSigmoid:
    case QuantizedOp::kHardSwish: return run({x, scale, zero_point});
    case QuantizedOp::kLeakyRelu: {
      const double alpha = node.attributes.float_or("alpha", 0.01F);
      return run({x, at::Scalar(alpha), false, scale, zero_point});
    }
    case QuantizedOp::kClamp: return clamp(x, group.plan.clamp.value());
    case QuantizedOp::kMaxPool: {
      const Window w =
          static_window(graph_, node, node.attributes.required_ints("kernel_shape")).value();
      return at::max_pool2d(x, w.kernel, w.strides, w.begin, w.dilations);
    }
    case QuantizedOp::kAveragePool: {
      if (node.kind == OpKind::kGlobalAveragePool) return at::adaptive_avg_pool2d(x, {1, 1});
      const Window w =
          static_window(graph_, node, node.attributes.required_ints("kernel_shape")).value();
      return at::avg_pool2d(x, w.kernel, w.strides);
    }
    case QuantizedOp::kResize: {
      const std::vector<double> factors = repeating_factors(graph_, node).value();
      return at::upsample_nearest2d(x, at::OptionalIntArrayRef(), at::ArrayRef<double>(factors));
    }
    case QuantizedOp::kMove: return move_elements(node, inputs);
  }
  throw InternalError("a quantized group without an operator");
}

std::optional<std::vector<RuntimeValue>> QuantizedNodes::run(
    NodeId node, std::vector<RuntimeValue>& inputs) const {
  const auto found = steps_.find(node);
  if (found == steps_.end()) {
    for (RuntimeValue& input : inputs)
      if (is_quantized(input)) input = as_output(input);
    return std::nullopt;
  }
  const Step& step = found->second;
  std::vector<RuntimeValue> results(1);
  switch (step.role) {
    case Role::kPacked: break;
    case Role::kQuantize: {
      // The value of another scale, moved.
      const at::Tensor x = as_output(inputs.at(0)).tensor;
      results[0] = quantized_value(
          at::quantize_per_tensor(x, step.params.scale, step.params.zero_point, at::kQUInt8));
      break;
    }
    case Role::kPass:
    case Role::kClamp: {
      // A bias behind a MatMul may be the first input.
      const auto value = std::find_if(inputs.begin(), inputs.end(), is_quantized);
      if (value == inputs.end()) throw InternalError("a quantized value got lost");
      results[0] = *value;
      if (step.role == Role::kClamp)
        results[0].tensor = clamp(value->tensor, groups_[step.group].plan.clamp.value());
      break;
    }
    case Role::kGroup: {
      const Group& group = groups_[step.group];
      results[0] = quantized_value(call(group, graph_.node(node), inputs));
      break;
    }
  }
  return results;
}

RuntimeValue QuantizedNodes::as_output(const RuntimeValue& value) {
  if (!is_quantized(value)) return value;
  return {at::dequantize(value.tensor), DType::kFloat32};
}

}  // namespace lathe
