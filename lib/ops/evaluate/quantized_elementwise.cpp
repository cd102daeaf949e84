// com.microsoft's QLinear ops that are a float op between dequantization and quantization
// (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).

#include "evaluate/pooling.h"
#include "evaluate/quantization.h"
#include "ir/error.h"

namespace lathe {
namespace {

bool channels_last(const EvaluateCall& call) {
  return call.attributes().int_or("channels_last", 0) != 0;
}

/// The dequantized image input with its channels on axis 1.
at::Tensor image_input(const EvaluateCall& call) {
  const at::Tensor x = dequantized_input(call, 0);
  call.require(x.dim() >= 3, "pooling needs a spatial axis");
  return channels_last(call) ? at::movedim(x, -1, 1) : x;
}

at::Tensor image_output(const EvaluateCall& call, const at::Tensor& y) {
  return quantized_output(call, channels_last(call) ? at::movedim(y, 1, -1) : y, 3);
}

}  // namespace

std::vector<at::Tensor> qlinear_add(const EvaluateCall& call) {
  return {quantized_output(call, dequantized_input(call, 0) + dequantized_input(call, 3), 6)};
}

std::vector<at::Tensor> qlinear_mul(const EvaluateCall& call) {
  return {quantized_output(call, dequantized_input(call, 0) * dequantized_input(call, 3), 6)};
}

std::vector<at::Tensor> qlinear_concat(const EvaluateCall& call) {
  call.require(call.inputs.size() >= 5 && (call.inputs.size() - 2) % 3 == 0,
               "inputs must be a scale, a zero point and triples");
  std::vector<at::Tensor> parts;
  for (size_t i = 2; i < call.inputs.size(); i += 3) parts.push_back(dequantized_input(call, i));
  const int64_t axis = call.normal_axis(call.attributes().required_int("axis"), parts[0].dim());
  return {quantized_output(call, at::cat(parts, axis), 0)};
}

std::vector<at::Tensor> qlinear_sigmoid(const EvaluateCall& call) {
  return {quantized_output(call, at::sigmoid(dequantized_input(call, 0)), 3)};
}

std::vector<at::Tensor> qlinear_leaky_relu(const EvaluateCall& call) {
  const double alpha = call.attributes().float_or("alpha", 0.01F);
  const at::Tensor x = dequantized_input(call, 0);
  return {quantized_output(call, at::where(x < 0, x * alpha, x), 3)};
}

std::vector<at::Tensor> qlinear_softmax(const EvaluateCall& call) {
  const at::Tensor x = dequantized_input(call, 0);
  call.require(x.dim() >= 1, "a scalar has no axis");
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", -1), x.dim());
  if (call.attributes().int_or("opset", 13) >= 13)
    return {quantized_output(call, at::softmax(x, axis), 3)};
  // Before opset 13 everything from the axis on is one row.
  const at::Tensor rows = at::softmax(x.flatten(axis), axis);
  return {quantized_output(call, rows.reshape(x.sizes()), 3)};
}

std::vector<at::Tensor> qlinear_average_pool(const EvaluateCall& call) {
  return {image_output(call, average_pool_of(call, image_input(call)))};
}

std::vector<at::Tensor> qlinear_global_average_pool(const EvaluateCall& call) {
  const at::Tensor x = image_input(call);
  return {image_output(call, at::mean(x, spatial_axes(x), true))};
}

}  // namespace lathe
