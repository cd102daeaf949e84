// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, and the table of quantized ops.
#include "evaluate/quantization.h"

#include <array>

#include "evaluate/cast.h"
#include "evaluate/small_floats.h"
#include "ir/error.h"

namespace lathe {
namespace {

AffineLayout read_layout(const EvaluateCall& call) {
  return {call.attributes().int_or("axis", 1), call.attributes().int_or("block_size", 0)};
}

/// Rounds float32 values to float16 or bfloat16 when the division is defined in that type.
at::Tensor at_precision(const at::Tensor& x, DType dtype) {
  if (dtype == DType::kFloat16) return x.to(at::kHalf).to(at::kFloat);
  if (dtype == DType::kBFloat16) return x.to(at::kBFloat16).to(at::kFloat);
  return x;
}

DType quantized_type(const EvaluateCall& call) {
  if (!call.output_dtypes.empty() && call.output_dtypes[0] != DType::kUndefined)
    return call.output_dtypes[0];
  if (call.has(2)) return call.dtype(2);
  const int64_t wanted = call.attributes().int_or("output_dtype", 0);
  call.require(wanted >= 0 && wanted < kDTypeCount, "unknown output_dtype");
  return wanted == 0 ? DType::kUInt8 : static_cast<DType>(wanted);
}

std::vector<at::Tensor> quantize_linear(const EvaluateCall& call) {
  const AffineLayout layout = read_layout(call);
  const DType to = quantized_type(call);
  at::Tensor x = call.input(0);
  at::Tensor scale = call.input(1);
  const at::Tensor zero_point = call.has(2) ? call.input(2) : at::Tensor();
  if (!x.is_floating_point()) x = x.to(at::kFloat);
  const int64_t wanted = call.attributes().int_or("precision", 0);
  call.require(wanted >= 0 && wanted < kDTypeCount, "unknown precision");
  const DType precision = wanted == 0 ? call.dtype(1) : static_cast<DType>(wanted);
  if (precision == DType::kFloat16 || precision == DType::kBFloat16) {
    x = at_precision(x / spread_parameter(call, at_precision(scale, precision), x.sizes(), layout),
                     precision);
    scale = at::ones_like(scale);
  }
  if (!is_small_float(to)) return {quantize_values(call, x, scale, zero_point, to, layout)};
  at::Tensor y = x / spread_parameter(call, scale, x.sizes(), layout);
  // 8-bit floats have no zero point: ONNX gives the input only to name the type.
  if (zero_point.defined() && to == DType::kFloat4E2M1)
    y = y + spread_parameter(call, zero_point, x.sizes(), layout);
  const CastRule rule{call.attributes().int_or("saturate", 1) != 0};
  return {cast_values(y.to(at::kFloat), DType::kFloat32, to, rule)};
}

std::vector<at::Tensor> dequantize_linear(const EvaluateCall& call) {
  return {dequantized_input(call, 0, read_layout(call))};
}

std::vector<at::Tensor> dynamic_quantize_linear(const EvaluateCall& call) {
  const auto [scale, zero_point] = dynamic_parameters(call.input(0));
  return {quantize_values(call, call.input(0), scale, zero_point, DType::kUInt8), scale,
          zero_point};
}

constexpr std::array kQuantizationOps{
    EvaluateRow{OpKind::kConvInteger, conv_integer},
    EvaluateRow{OpKind::kDequantizeLinear, dequantize_linear},
    EvaluateRow{OpKind::kDynamicQuantizeLinear, dynamic_quantize_linear},
    EvaluateRow{OpKind::kDynamicQuantizeMatMul, dynamic_quantize_mat_mul},
    EvaluateRow{OpKind::kMatMulInteger, mat_mul_integer},
    EvaluateRow{OpKind::kMatMulIntegerToFloat, mat_mul_integer_to_float},
    EvaluateRow{OpKind::kMatMulNBits, mat_mul_nbits},
    EvaluateRow{OpKind::kQGemm, qgemm},
    EvaluateRow{OpKind::kQLinearAdd, qlinear_add},
    EvaluateRow{OpKind::kQLinearAveragePool, qlinear_average_pool},
    EvaluateRow{OpKind::kQLinearConcat, qlinear_concat},
    EvaluateRow{OpKind::kQLinearConv, qlinear_conv},
    EvaluateRow{OpKind::kQLinearGlobalAveragePool, qlinear_global_average_pool},
    EvaluateRow{OpKind::kQLinearLeakyRelu, qlinear_leaky_relu},
    EvaluateRow{OpKind::kQLinearMatMul, qlinear_mat_mul},
    EvaluateRow{OpKind::kQLinearMul, qlinear_mul},
    EvaluateRow{OpKind::kQLinearSigmoid, qlinear_sigmoid},
    EvaluateRow{OpKind::kQLinearSoftmax, qlinear_softmax},
    EvaluateRow{OpKind::kQuantizeLinear, quantize_linear},
};

}  // namespace

at::Tensor dequantized_input(const EvaluateCall& call, size_t index, const AffineLayout& layout) {
  const at::Tensor zero_point = call.has(index + 2) ? call.input(index + 2) : at::Tensor();
  at::Tensor scale = call.input(index + 1);
  call.require(scale.is_floating_point(), "a scale must be a floating-point number");
  return dequantize_values(call, call.input(index), scale, zero_point, layout);
}

at::Tensor quantized_output(const EvaluateCall& call, const at::Tensor& y, size_t index) {
  const at::Tensor& scale = call.input(index);
  const at::Tensor zero_point = call.has(index + 1) ? call.input(index + 1) : at::Tensor();
  call.require(scale.numel() == 1 && (!zero_point.defined() || zero_point.numel() == 1),
               "the output's scale and zero point must be scalars");
  DType to = call.output_dtypes.empty() ? DType::kUndefined : call.output_dtypes[0];
  if (to == DType::kUndefined) to = zero_point.defined() ? call.dtype(index + 1) : call.dtype(0);
  return quantize_values(call, y, scale, zero_point, to);
}

std::span<const EvaluateRow> quantization_ops() { return kQuantizationOps; }

}  // namespace lathe
