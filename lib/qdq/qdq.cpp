#include "qdq/qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

bool are_usable(std::span<const float> scales) {
  return std::all_of(scales.begin(), scales.end(),
                     [](float s) { return std::isfinite(s) && s >= 1e-30F; });
}

/// Of the scales, from the front; nullopt: counted from the back of a value of unknown rank.
std::optional<int64_t> scale_axis(const Graph& graph, const Node& node) {
  const int64_t axis = node.attributes.int_or("axis", 1);
  if (axis >= 0) return axis;
  const auto& dims = graph.value(node.input(0)).type.dims;
  const int64_t from_front = dims ? axis + static_cast<int64_t>(dims->size()) : -1;
  return from_front < 0 ? std::nullopt : std::optional(from_front);
}

QuantizedWeight no_weight(std::string problem) { return {std::move(problem), {}, {}}; }

}  // namespace

const Node* dequantizer(const Graph& graph, ValueId value) {
  const NodeId producer = value.valid() ? graph.value(value).producer : NodeId{};
  if (!producer.valid()) return nullptr;
  const Node& node = graph.node(producer);
  return node.kind == OpKind::kDequantizeLinear ? &node : nullptr;
}

std::optional<QuantParams> constant_params(const Graph& graph, const Node& node) {
  const ValueId integers = node.kind == OpKind::kQuantizeLinear ? node.output(0) : node.input(0);
  if (!node.input(0).valid() || !integers.valid()) return std::nullopt;
  const DType dtype = graph.value(integers).type.dtype;
  const Tensor* scale = graph.constant(node.input(1));
  const Tensor* zero = graph.constant(node.input(2));
  if (!is_integer(dtype) || scale == nullptr || scale->dtype() != DType::kFloat32 ||
      scale->numel() == 0 || (scale->rank() > 1 && node.attributes.int_or("block_size", 0) == 0))
    return std::nullopt;
  QuantParams params;
  params.dtype = dtype;
  const auto scales = scale->values<float>();
  params.scales.assign(scales.begin(), scales.end());
  params.zero_points.resize(scales.size());
  if (node.input(2).valid()) {
    if (zero == nullptr || zero->dtype() != dtype ||
        (zero->numel() != scale->numel() && zero->numel() != 1))
      return std::nullopt;
    const std::vector<int64_t> zeros = zero->to_int64();
    for (size_t i = 0; i < scales.size(); ++i)
      params.zero_points[i] = static_cast<int32_t>(zeros[zeros.size() == 1 ? 0 : i]);
  }
  if (scales.size() == 1) return params;
  const auto axis = scale_axis(graph, node);
  if (!axis) return std::nullopt;
  params.axis = *axis;
  return params;
}

bool is_symmetric(const QuantParams& params) {
  return std::ranges::all_of(params.zero_points, [](int32_t zero) { return zero == 0; });
}

std::optional<ScaleZeroPoint> uint8_params(const Graph& graph, const Node& node) {
  const auto params = constant_params(graph, node);
  if (!params || params->axis >= 0 || !is_eight_bits(params->dtype) ||
      !are_usable(params->scales) || node.attributes.int_or("precision", 0) > 1)
    return std::nullopt;
  const int32_t shift = params->dtype == DType::kInt8 ? 128 : 0;
  return ScaleZeroPoint{params->scales[0], params->zero_points[0] + shift};
}

int32_t uint8_bound(double bound, const ScaleZeroPoint& params) {
  return quantize(static_cast<float>(bound), params.scale, params.zero_point, 0, 255);
}

Tensor int8_codes(const Tensor& codes) {
  if (codes.dtype() == DType::kInt8) return codes;
  std::vector<std::byte> bytes(codes.bytes().begin(), codes.bytes().end());
  for (std::byte& byte : bytes) byte ^= std::byte{128};
  return Tensor::from_bytes(DType::kInt8, codes.shape(), std::move(bytes));
}

QuantizedWeight quantized_weight(const Graph& graph, const Node& node, size_t index, int64_t axis) {
  const Node* dq = dequantizer(graph, node.input(index));
  if (dq == nullptr) return no_weight("its weight is not quantized");
  const Tensor* q = graph.constant(dq->input(0));
  if (q == nullptr || graph.constant(dq->input(1)) == nullptr)
    return no_weight("its weight is not constant");
  if (!is_eight_bits(q->dtype()))
    return no_weight(fmt::format("its weight is {}", dtype_name(q->dtype())));
  if (dq->input(2).valid() && graph.constant(dq->input(2)) == nullptr)
    return no_weight("its weight's zero point is not constant");
  const auto params = constant_params(graph, *dq);
  if (!params || !are_usable(params->scales) || dq->attributes.int_or("block_size", 0) != 0)
    return no_weight("its weight's scales are not plain float32");
  if (params->axis >= 0 &&
      (params->axis != axis || axis >= q->rank() ||
       static_cast<int64_t>(params->scales.size()) != q->shape()[static_cast<size_t>(axis)]))
    return no_weight("its weight's scales are not one per output channel");
  const bool is_unsigned = q->dtype() == DType::kUInt8;
  if (std::ranges::any_of(params->zero_points,
                          [&](int32_t z) { return z != (is_unsigned ? 128 : 0); }))
    return no_weight("its weight is not symmetric");
  return {{}, int8_codes(*q), params->scales};
}

bool is_constant_floats(const Graph& graph, ValueId value) {
  if (!value.valid()) return false;
  if (const Tensor* constant = graph.constant(value)) return constant->dtype() == DType::kFloat32;
  const Node* dq = dequantizer(graph, value);
  if (dq == nullptr || graph.constant(dq->input(0)) == nullptr ||
      (dq->input(2).valid() && graph.constant(dq->input(2)) == nullptr))
    return false;
  const Tensor* scale = graph.constant(dq->input(1));
  return scale != nullptr && scale->dtype() == DType::kFloat32 &&
         are_usable(scale->values<float>());
}

std::optional<QuantizedTail> quantized_tail(const Graph& graph, ValueId value,
                                            bool through_activation) {
  QuantizedTail tail;
  auto user = graph.single_user(value);
  if (through_activation && user && graph.node(*user).input(0) == value) {
    tail.bounds = clamp_of(graph, graph.node(*user));
    if (tail.bounds) {
      tail.activation = *user;
      value = graph.node(*user).outputs[0];
      user = graph.single_user(value);
    }
  }
  if (!user || graph.node(*user).kind != OpKind::kQuantizeLinear ||
      graph.node(*user).input(0) != value)
    return std::nullopt;
  tail.quantize = *user;
  tail.integers = graph.node(*user).outputs[0];
  return tail;
}

}  // namespace lathe
