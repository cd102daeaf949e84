#include "tflite/constants.h"

#include <fmt/format.h>

#include <limits>

#include "ir/error.h"
#include "qdq/qdq.h"
#include "tflite/graph_writer.h"

namespace lathe {

tfl::TensorType tensor_type_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat16: return tfl::TensorType::FLOAT32;
    case DType::kInt32: return tfl::TensorType::INT32;
    case DType::kInt64: return tfl::TensorType::INT64;
    case DType::kBool: return tfl::TensorType::BOOL;
    case DType::kUInt8: return tfl::TensorType::UINT8;
    case DType::kInt8: return tfl::TensorType::INT8;
    default:
      throw no_tflite_form(fmt::format("values of type {} are not written", dtype_name(dtype)));
  }
}

Tensor dequantized_constant(const Graph& graph, const Node& node) {
  const Tensor& codes = *graph.constant(node.input(0));
  const auto params = constant_params(graph, node);
  if (!params || node.attributes.int_or("block_size", 0) != 0)
    throw no_tflite_form("a constant whose scales are computed or of blocks");
  const Shape& shape = codes.shape();
  int64_t inner = 1;
  if (params->axis >= 0) {
    if (params->axis >= codes.rank() ||
        shape[static_cast<size_t>(params->axis)] != static_cast<int64_t>(params->scales.size()))
      throw no_tflite_form("a constant whose scales do not fit it");
    for (size_t i = static_cast<size_t>(params->axis) + 1; i < shape.size(); ++i) inner *= shape[i];
  }
  const std::vector<int64_t> integers = codes.to_int64();
  std::vector<float> values(integers.size());
  const auto channels = static_cast<int64_t>(params->scales.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto c = static_cast<size_t>(
        params->axis < 0 ? 0 : static_cast<int64_t>(i) / inner % channels);
    values[i] = static_cast<float>(integers[i] - params->zero_points[c]) * params->scales[c];
  }
  return Tensor::of<float>(shape, values);
}

std::optional<Tensor> real_constant(const Graph& graph, ValueId value) {
  if (!value.valid()) return std::nullopt;
  if (const Tensor* constant = graph.constant(value)) {
    if (!is_floating(constant->dtype())) return std::nullopt;
    std::vector<float> values;
    for (const double v : constant->to_double()) values.push_back(static_cast<float>(v));
    return Tensor::of<float>(constant->shape(), values);
  }
  const Node* dq = dequantizer(graph, value);
  if (dq == nullptr || graph.constant(dq->input(0)) == nullptr) return std::nullopt;
  return dequantized_constant(graph, *dq);
}

std::optional<tfl::Activation> activation_of(const ActivationBounds& bounds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (bounds == ActivationBounds{-kInfinity, kInfinity}) return tfl::Activation::NONE;
  if (bounds == ActivationBounds{0, kInfinity}) return tfl::Activation::RELU;
  if (bounds == ActivationBounds{0, 6}) return tfl::Activation::RELU6;
  if (bounds == ActivationBounds{-1, 1}) return tfl::Activation::RELU_N1_TO_1;
  return std::nullopt;
}

}  // namespace lathe
