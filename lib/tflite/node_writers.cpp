#include "tflite/node_writers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/error.h"
#include "ir/transpose.h"
#include "qdq/qdq.h"
#include "tflite/constants.h"

namespace lathe {

FileWeight write_weight(GraphWriter& writer, const Node& node, size_t index, int64_t onnx_axis,
                        const std::vector<size_t>& dims, const Shape& shape, int64_t channels,
                        bool integers) {
  const std::string name = writer.name(node.input(index));
  const QuantizedWeight weight = quantized_weight(writer.graph, node, index, onnx_axis);
  const bool each = weight.scales.size() > 1;
  if (weight.problem.empty() && (integers || !each || writer.widens_channels)) {
    const QuantParams params{DType::kInt8, weight.scales,
                             std::vector<int32_t>(weight.scales.size(), 0), each ? channels : -1};
    const TensorIndex codes = writer.file.add_constant(
        name, transposed(weight.codes, dims).reshaped(shape), params);
    if (integers) return {codes, weight.scales};
    return {writer.file.dequantized(codes, each ? 5 : 2, name), {}};
  }
  if (!real_constant(writer.graph, node.input(index)))
    throw no_tflite_form("its weights must be constant");
  return {writer.constant_real(node.input(index), dims, shape), {}};
}

TensorIndex write_bias(GraphWriter& writer, ValueId bias, int64_t count, const FileWeight& weight,
                       const std::optional<ScaleZeroPoint>& input) {
  std::vector<double> values(static_cast<size_t>(count), 0);
  if (bias.valid()) {
    const auto floats = real_constant(writer.graph, bias);
    if (!floats || (floats->numel() != count && floats->numel() != 1))
      throw no_tflite_form("its bias must be a constant of one number per channel");
    const std::vector<double> given = floats->to_double();
    for (size_t i = 0; i < values.size(); ++i) values[i] = given[given.size() == 1 ? 0 : i];
  }
  const std::string name = bias.valid() ? writer.name(bias) : "zeros";
  if (weight.scales.empty())
    return writer.file.add_constant(
        name, Tensor::vector(std::vector<float>(values.begin(), values.end())));
  std::vector<int32_t> codes(values.size());
  std::vector<float> scales;
  for (const float scale : weight.scales) scales.push_back(scale * input->scale);
  constexpr double kMost = std::numeric_limits<int32_t>::max();
  for (size_t i = 0; i < codes.size(); ++i) {
    const size_t channel = scales.size() == 1 ? 0 : i;
    const double step = static_cast<double>(input->scale) * weight.scales[channel];
    const double code = std::nearbyint(values[i] / step);
    if (std::isnan(code)) throw no_tflite_form("its bias is not a number");
    codes[i] = static_cast<int32_t>(std::clamp(code, -kMost, kMost));
  }
  const QuantParams params{DType::kInt32, scales, std::vector<int32_t>(scales.size(), 0),
                           scales.size() > 1 ? 0 : -1};
  return writer.file.add_constant(name, Tensor::vector(codes), params);
}

std::optional<Ending> integer_ending(GraphWriter& writer, const Node& node, ValueId output,
                                     int64_t weight_axis) {
  if (!writer.params(node.input(0))) return std::nullopt;
  if (!quantized_weight(writer.graph, node, 1, weight_axis).problem.empty()) return std::nullopt;
  return writer.ending(output, true);
}

std::vector<int64_t> constant_integers(const GraphWriter& writer, ValueId value,
                                       std::string_view what) {
  const Tensor* constant = value.valid() ? writer.graph.constant(value) : nullptr;
  if (constant == nullptr) throw no_tflite_form(fmt::format("{} must be a constant", what));
  return constant->to_int64();
}

int64_t from_front(int64_t axis, size_t rank) {
  return axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
}

// Where dimension `axis` of the value lies in a tensor of that order.
size_t place_of(int64_t axis, Order order, size_t rank) {
  return inverse_order(order_dims(order, rank))[static_cast<size_t>(axis)];
}

}  // namespace lathe
