#include "backend/quantized_operands.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "run/node_call.h"

namespace lathe {
namespace {

const Node* producer(const Graph& graph, ValueId id) {
  if (!id.valid() || !graph.value(id).producer.valid()) return nullptr;
  return &graph.node(graph.value(id).producer);
}

bool is_usable_scale(const Tensor* scale) {
  if (scale == nullptr || scale->dtype() != DType::kFloat32) return false;
  const auto values = scale->values<float>();
  return std::all_of(values.begin(), values.end(),
                     [](float s) { return std::isfinite(s) && s >= 1e-30F; });
}

}  // namespace

std::optional<QuantizedParams> border_params(const Graph& graph, const Node& node, DType type) {
  const Tensor* scale = graph.constant(node.input(1));
  if (!is_usable_scale(scale) || scale->numel() != 1) return std::nullopt;
  if (type != DType::kUInt8 && type != DType::kInt8) return std::nullopt;
  const Attributes& attributes = node.attributes;
  if (attributes.int_or("block_size", 0) != 0 || attributes.int_or("precision", 0) > 1)
    return std::nullopt;
  int64_t zero_point = 0;
  if (node.input(2).valid()) {
    const Tensor* zero = graph.constant(node.input(2));
    if (zero == nullptr || zero->numel() != 1 || zero->dtype() != type) return std::nullopt;
    zero_point = zero->to_int64()[0];
  }
  const int64_t shift = type == DType::kInt8 ? 128 : 0;
  return QuantizedParams{static_cast<double>(scale->values<float>()[0]), zero_point + shift};
}

std::string weight_problem(const Graph& graph, const Node& node, size_t index, int64_t axis) {
  const Node* dq = producer(graph, node.input(index));
  if (dq == nullptr || dq->kind != OpKind::kDequantizeLinear) return "its weight is not quantized";
  const Tensor* q = graph.constant(dq->input(0));
  const Tensor* scale = graph.constant(dq->input(1));
  if (q == nullptr || scale == nullptr) return "its weight is not constant";
  if (q->dtype() != DType::kInt8 && q->dtype() != DType::kUInt8)
    return fmt::format("its weight is {}", dtype_name(q->dtype()));
  if (!is_usable_scale(scale) || dq->attributes.int_or("block_size", 0) != 0)
    return "its weight's scales are not plain float32";
  if (scale->numel() != 1) {
    const int64_t given = dq->attributes.int_or("axis", 1);
    const int64_t along = given < 0 ? given + q->rank() : given;
    if (axis < 0 || along != axis || axis >= q->rank() ||
        scale->numel() != q->shape()[static_cast<size_t>(axis)])
      return "its weight's scales are not one per output channel";
  }
  const int64_t middle = q->dtype() == DType::kUInt8 ? 128 : 0;
  const Tensor* zero = dq->input(2).valid() ? graph.constant(dq->input(2)) : nullptr;
  if (dq->input(2).valid() && zero == nullptr) return "its weight's zero point is not constant";
  const std::vector<int64_t> zeros = zero ? zero->to_int64() : std::vector<int64_t>{0};
  if (std::any_of(zeros.begin(), zeros.end(), [&](int64_t z) { return z != middle; }))
    return "its weight is not symmetric";
  return {};
}

at::Tensor quantized_weight(const Graph& graph, const Node& node, size_t index, int64_t axis,
                            bool transpose) {
  const Node* dq = producer(graph, node.input(index));
  at::Tensor q = to_runtime(*graph.constant(dq->input(0))).tensor;
  if (q.scalar_type() == at::kByte) q = (q.to(at::kInt) - 128).to(at::kChar);
  const at::Tensor scale =
      to_runtime(*graph.constant(dq->input(1))).tensor->reshape({-1}).to(at::kDouble);
  if (transpose) {
    q = q.t();
    axis = 0;
  }
  q = q.contiguous();
  if (scale.numel() == 1) return at::_make_per_tensor_quantized_tensor(q, scale.item<double>(), 0);
  return at::_make_per_channel_quantized_tensor(q, scale, at::zeros({scale.numel()}, at::kLong),
                                                axis);
}

bool is_constant_floats(const Graph& graph, ValueId id) {
  if (!id.valid()) return false;
  if (const Tensor* constant = graph.constant(id)) return constant->dtype() == DType::kFloat32;
  const Node* dq = producer(graph, id);
  return dq != nullptr && dq->kind == OpKind::kDequantizeLinear && graph.constant(dq->input(0)) &&
         is_usable_scale(graph.constant(dq->input(1))) &&
         (!dq->input(2).valid() || graph.constant(dq->input(2)));
}

at::Tensor constant_floats(const Graph& graph, ValueId id) {
  if (!is_constant_floats(graph, id)) return {};
  if (const Tensor* constant = graph.constant(id)) return to_runtime(*constant).tensor;
  const Node& dq = *producer(graph, id);
  std::vector<RuntimeValue> inputs;
  for (const ValueId input : dq.inputs)
    inputs.push_back(input.valid() ? to_runtime(*graph.constant(input)) : RuntimeValue{});
  return call_op(dq, inputs)[0].tensor;
}

std::optional<Window> static_window(const Graph& graph, const Node& node,
                                    const std::vector<int64_t>& kernel) {
  std::vector<int64_t> sizes(kernel.size(), 1);
  const std::string auto_pad = node.attributes.string_or("auto_pad", "NOTSET");
  const std::optional<Dims>& dims = graph.value(node.input(0)).type.dims;
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    if (!dims || dims->size() != kernel.size() + 2) return std::nullopt;
    for (size_t i = 0; i < kernel.size(); ++i) {
      sizes[i] = (*dims)[i + 2].size;
      if (sizes[i] < 1) return std::nullopt;
    }
  }
  try {
    return read_window({node, {}, {}, {}}, kernel, sizes);
  } catch (const Error&) {
    return std::nullopt;  // in float, the node itself says what is wrong with it
  }
}

std::optional<std::vector<double>> repeating_factors(const Graph& graph, const Node& node) {
  const Attributes& attributes = node.attributes;
  const std::optional<Dims>& dims = graph.value(node.input(0)).type.dims;
  if (attributes.string_or("mode", "nearest") != "nearest" || attributes.has("axes") || !dims ||
      dims->size() != 4)
    return std::nullopt;
  std::vector<double> factors;
  const Tensor* scales = graph.constant(node.input(2));
  const Tensor* sizes = graph.constant(node.input(3));
  if (scales != nullptr && scales->numel() == 4) {
    factors = scales->to_double();
  } else if (sizes != nullptr && sizes->numel() == 4 &&
             attributes.string_or("keep_aspect_ratio_policy", "stretch") == "stretch") {
    const std::vector<int64_t> wanted = sizes->to_int64();
    for (size_t i = 0; i < 4; ++i) {
      if (!(*dims)[i].known() || (*dims)[i].size == 0) return std::nullopt;
      factors.push_back(static_cast<double>(wanted[i]) / static_cast<double>((*dims)[i].size));
    }
  }
  if (factors.size() != 4 || factors[0] != 1 || factors[1] != 1) return std::nullopt;
  const std::string from = attributes.string_or("coordinate_transformation_mode", "half_pixel");
  const std::string nearest = attributes.string_or("nearest_mode", "round_prefer_floor");
  for (const size_t i : {size_t{2}, size_t{3}}) {
    const double factor = factors[i];
    if (factor < 1 || factor > 1024 || factor != std::floor(factor)) return std::nullopt;
    // Centres of equal shares never lie half way between two elements, so any rounding will do.
    const bool repeats = (from == "asymmetric" && nearest == "floor") ||
                         (from == "asymmetric" && nearest == "round_prefer_floor" && factor <= 2) ||
                         (from == "half_pixel" && nearest.starts_with("round"));
    if (!repeats && factor != 1) return std::nullopt;
  }
  return std::vector<double>{factors[2], factors[3]};
}

}  // namespace lathe
