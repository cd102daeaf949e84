#include "quantize/diagnose/device_arithmetic.h"

#include <algorithm>
#include <cmath>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "qdq/qdq.h"
#include "quantize/plan/power_of_two.h"
#include "run/node_call.h"

namespace lathe {
namespace {

// Where an operator on integers has its weights, and its input's zero point.
struct Operands {
  size_t weight = 1;
  size_t zero_point = 2;
};

std::optional<Operands> integer_operands(OpKind kind) {
  switch (kind) {
    case OpKind::kConvInteger:
    case OpKind::kMatMulInteger: return Operands{1, 2};
    case OpKind::kQLinearConv:
    case OpKind::kQLinearMatMul:
    case OpKind::kQGemm: return Operands{3, 2};
    case OpKind::kMatMulIntegerToFloat: return Operands{1, 4};
    case OpKind::kDynamicQuantizeMatMul: return Operands{1, 2};
    default: return std::nullopt;
  }
}

at::Tensor tensor_at(const std::vector<RuntimeValue>& inputs, size_t index) {
  return index < inputs.size() && inputs[index].is_tensor() ? *inputs[index].tensor : at::Tensor();
}

RuntimeValue value_at(const std::vector<RuntimeValue>& inputs, size_t index) {
  return index < inputs.size() ? inputs[index] : RuntimeValue();
}

// Numbers per output channel, shaped to meet an output of `rank` axes.
at::Tensor by_channel(const at::Tensor& numbers, int64_t axis, int64_t rank) {
  if (numbers.numel() == 1 || rank < 1) return numbers.reshape({});
  if (numbers.dim() > 1) return numbers;
  std::vector<int64_t> shape(static_cast<size_t>(rank), 1);
  shape[static_cast<size_t>(axis)] = numbers.numel();
  return numbers.reshape(shape);
}

// Of a quantized input: unsigned integers in float32, and its zero point likewise.
struct UnsignedInput {
  at::Tensor integers;
  float zero = 0;
};

UnsignedInput unsigned_input(const RuntimeValue& x, const at::Tensor& zero_point) {
  const float shift = x.dtype == DType::kInt8 ? 128.0f : 0.0f;
  UnsignedInput input{x.tensor->to(at::kFloat) + shift, shift};
  // A zero point per row means no padding, and padding is all that asks for it.
  if (zero_point.defined() && zero_point.numel() == 1)
    input.zero += zero_point.to(at::kFloat).item<float>();
  return input;
}

Node with_kind(const Node& node, OpKind kind) {
  Node changed = node;
  changed.kind = kind;
  changed.inputs.resize(std::min<size_t>(changed.inputs.size(), 4));
  changed.outputs.resize(1);
  return changed;
}

// Exact integer sums of QLinearConv, QLinearMatMul and QGemm, their bias included.
at::Tensor exact_sums(const Node& node, const std::vector<RuntimeValue>& inputs) {
  const bool conv = node.kind == OpKind::kQLinearConv;
  RuntimeValue a = inputs.at(0);
  RuntimeValue b = inputs.at(3);
  if (node.kind == OpKind::kQGemm) {
    if (node.attributes.int_or("transA", 0) != 0) a.tensor = a.tensor->t();
    if (node.attributes.int_or("transB", 0) != 0) b.tensor = b.tensor->t();
  }
  const std::vector<RuntimeValue> operands = {a, b, value_at(inputs, 2), value_at(inputs, 5)};
  const Node integer = with_kind(node, conv ? OpKind::kConvInteger : OpKind::kMatMulInteger);
  at::Tensor sums = call_op(integer, operands).at(0).tensor;
  const at::Tensor bias = tensor_at(inputs, conv                          ? 8
                                            : node.kind == OpKind::kQGemm ? 6
                                                                          : inputs.size());
  if (!bias.defined()) return sums;
  return sums + (conv ? by_channel(bias, 1, sums.dim()) : bias);
}

}  // namespace

PairSumArithmetic::PairSumArithmetic(const Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.outputs.empty() || !node.outputs[0].valid()) continue;
    Layer layer;
    const Tensor* weight = nullptr;
    if (const auto operands = integer_operands(node.kind)) {
      weight = graph.constant(node.input(operands->weight));
    } else if (node.kind == OpKind::kConv || node.kind == OpKind::kGemm ||
               node.kind == OpKind::kMatMul) {
      const Node* x = dequantizer(graph, node.input(0));
      const Node* w = dequantizer(graph, node.input(1));
      const auto x_params = x != nullptr ? constant_params(graph, *x) : std::nullopt;
      const auto w_params = w != nullptr ? constant_params(graph, *w) : std::nullopt;
      if (!x_params || !w_params || x_params->axis >= 0 || !is_eight_bits(x_params->dtype) ||
          w->attributes.int_or("block_size", 0) != 0)
        continue;
      weight = graph.constant(w->input(0));
      layer.input_scale = x_params->scales[0];
      layer.input_zero = static_cast<float>(x_params->zero_points[0]);
      layer.input_shift = x_params->dtype == DType::kInt8 ? 128.0f : 0.0f;
      const float alpha = node.kind == OpKind::kGemm ? node.attributes.float_or("alpha", 1) : 1.0f;
      for (const float scale : w_params->scales)
        layer.scales.push_back(scale * layer.input_scale * alpha);
      if (!(layer.input_scale > 0) || !std::isfinite(layer.input_scale)) continue;
    }
    if (weight == nullptr) continue;
    auto pairs = pair_layer(node, *weight);
    if (!pairs) continue;
    layer.pairs = std::move(*pairs);
    const auto channels = static_cast<size_t>(layer.pairs.groups * layer.pairs.outputs);
    if (layer.scales.size() > 1 && layer.scales.size() != channels) continue;
    layer.bound = saturation_bound(layer.pairs);
    layer.node = node.name;
    layer.node_type = std::string(node.type_name());
    by_output_[node.outputs[0]] = layers_.size();
    layers_.push_back(std::move(layer));
  }
  counts_.resize(layers_.size());
}

std::vector<PairSumRow> PairSumArithmetic::rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<PairSumRow> rows;
  for (size_t i = 0; i < layers_.size(); ++i)
    rows.push_back({layers_[i].node, layers_[i].node_type, layers_[i].bound,
                    layers_[i].pairs.countable, counts_[i]});
  return rows;
}

std::optional<std::vector<RuntimeValue>> PairSumArithmetic::compute(
    const Node& node, const std::vector<RuntimeValue>& inputs) const {
  if (node.outputs.empty()) return std::nullopt;
  const auto it = by_output_.find(node.outputs[0]);
  if (it == by_output_.end()) return std::nullopt;
  const Layer& layer = layers_[it->second];
  if (!layer.pairs.countable || inputs.empty() || !inputs[0].is_tensor()) return std::nullopt;
  SaturationCount count;
  std::vector<RuntimeValue> results = layer.input_scale > 0
                                          ? dequantized_product(layer, node, inputs, count)
                                          : integer_product(layer, node, inputs, count);
  const std::lock_guard lock(mutex_);
  counts_[it->second].merge(count);
  return results;
}

std::vector<RuntimeValue> PairSumArithmetic::dequantized_product(
    const Layer& layer, const Node& node, const std::vector<RuntimeValue>& inputs,
    SaturationCount& count) const {
  std::vector<RuntimeValue> results = call_op(node, inputs);
  const float zero = layer.input_zero + layer.input_shift;
  const at::Tensor integers =
      at::clamp(at::round(inputs[0].tensor->to(at::kFloat) / layer.input_scale) + zero, 0.0, 255.0);
  at::Tensor correction;
  count = count_pairs(layer.pairs, node, integers, zero, layer.scales, &correction);
  if (!correction.defined()) return results;
  const at::Tensor scales = at::tensor(layer.scales);
  const int64_t axis = layer.pairs.is_conv() ? 1 : correction.dim() - 1;
  at::Tensor& y = results[0].tensor;
  y = y + (correction * by_channel(scales, axis, correction.dim()))
              .reshape(y.sizes())
              .to(y.scalar_type());
  return results;
}

std::vector<RuntimeValue> PairSumArithmetic::integer_product(
    const Layer& layer, const Node& node, const std::vector<RuntimeValue>& inputs,
    SaturationCount& count) const {
  const std::vector<float> one = {1.0f};
  const auto counted = [&](const UnsignedInput& x) {
    at::Tensor correction;
    count = count_pairs(layer.pairs, node, x.integers, x.zero, one, &correction);
    return correction;
  };
  if (node.kind == OpKind::kDynamicQuantizeMatMul) {
    Node quantize;
    quantize.kind = OpKind::kDynamicQuantizeLinear;
    quantize.inputs = {node.inputs[0]};
    quantize.outputs = {node.outputs[0], node.outputs[0], node.outputs[0]};
    const std::vector<RuntimeValue> q = call_op(quantize, std::vector{inputs[0]});
    std::vector<RuntimeValue> results = call_op(node, inputs);
    const at::Tensor correction = counted(unsigned_input(q[0], q[2].tensor));
    if (correction.defined())
      results[0].tensor = results[0].tensor + correction * (q[1].tensor * tensor_at(inputs, 2));
    return results;
  }
  const Operands operands = *integer_operands(node.kind);
  // Rows with scales of their own are outside of what device runtimes have kernels for.
  if (operands.weight == 3 && tensor_at(inputs, 1).numel() != 1) return call_op(node, inputs);
  const at::Tensor correction =
      counted(unsigned_input(inputs[0], tensor_at(inputs, operands.zero_point)));
  if (!correction.defined()) return call_op(node, inputs);
  if (node.kind == OpKind::kConvInteger || node.kind == OpKind::kMatMulInteger) {
    std::vector<RuntimeValue> results = call_op(node, inputs);
    at::Tensor& sums = results[0].tensor;
    sums = sums + correction.reshape(sums.sizes()).to(sums.scalar_type());
    return results;
  }
  if (node.kind == OpKind::kMatMulIntegerToFloat) {
    std::vector<RuntimeValue> results = call_op(node, inputs);
    results[0].tensor =
        results[0].tensor + correction * (tensor_at(inputs, 2) * tensor_at(inputs, 3));
    return results;
  }
  // QLinearConv, QLinearMatMul, QGemm: the sums change before they are rounded to 8 bits.
  const at::Tensor sums = exact_sums(node, inputs) + correction.to(at::kInt);
  const bool gemm = node.kind == OpKind::kQGemm;
  const size_t y_scale = gemm ? 7 : 6;
  const int64_t axis = layer.pairs.is_conv() ? 1 : sums.dim() - 1;
  const double alpha = gemm ? node.attributes.float_or("alpha", 1) : 1.0;
  at::Tensor real = sums.to(at::kFloat) * tensor_at(inputs, 1) *
                    by_channel(tensor_at(inputs, 4), axis, sums.dim()) * alpha;
  if (!tensor_at(inputs, y_scale).defined()) return {RuntimeValue(real, DType::kFloat32)};
  const RuntimeValue zero = value_at(inputs, y_scale + 1);
  const DType dtype = zero.is_tensor() ? zero.dtype : inputs[0].dtype;
  at::Tensor y = at::round(real / tensor_at(inputs, y_scale));
  if (zero.is_tensor()) y = y + zero.tensor->to(at::kFloat);
  y = at::clamp(y, static_cast<double>(integer_min(dtype)),
                static_cast<double>(integer_max(dtype)));
  return {RuntimeValue(y.to(storage_type(dtype)), dtype)};
}

std::vector<std::string> not_power_of_two(const Graph& graph, size_t limit) {
  std::vector<std::string> names;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.kind != OpKind::kQuantizeLinear && node.kind != OpKind::kDequantizeLinear) continue;
    const auto params = constant_params(graph, node);
    const bool fits =
        params && std::ranges::all_of(params->scales, is_power_of_two) && is_symmetric(*params);
    if (!fits && names.size() < limit) names.push_back(node.name);
  }
  return names;
}

std::optional<std::vector<RuntimeValue>> round_half_up(const Node& node,
                                                       const std::vector<RuntimeValue>& inputs) {
  if (node.kind != OpKind::kQuantizeLinear || inputs.size() < 3 || !inputs[0].is_tensor() ||
      !inputs[1].is_tensor() || !inputs[2].is_tensor() || inputs[1].tensor->numel() != 1 ||
      inputs[2].tensor->numel() != 1 || !is_eight_bits(inputs[2].dtype))
    return std::nullopt;
  const DType dtype = inputs[2].dtype;
  at::Tensor y =
      at::floor(inputs[0].tensor->to(at::kFloat) / inputs[1].tensor->to(at::kFloat) + 0.5);
  y = at::where(at::isnan(y), at::zeros_like(y), y) + inputs[2].tensor->to(at::kFloat);
  y = at::clamp(y, static_cast<double>(integer_min(dtype)),
                static_cast<double>(integer_max(dtype)));
  return std::vector{RuntimeValue(y.to(storage_type(dtype)), dtype)};
}

}  // namespace lathe
