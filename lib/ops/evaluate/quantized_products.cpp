// Convolutions and matrix products of quantized tensors. Sums are those of int32 arithmetic: they
// are formed in float32 when no sum can leave the integers that it holds, else in float64.
#include <fmt/format.h>

#include "evaluate/convolution.h"
#include "evaluate/quantization.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr double kExactFloat = 16777216.0;  // 2^24

/// Which side of a matrix product an operand is on.
enum class Side { kLeft, kRight };

/// A scale or zero point of a matrix operand: one number, one per row (left) or column (right), or
/// already of the operand's rank.
at::Tensor matrix_parameter(const EvaluateCall& call, const at::Tensor& parameter,
                            const at::Tensor& operand, Side side) {
  if (!parameter.defined()) return parameter;
  if (parameter.numel() == 1) return parameter.reshape({});
  if (parameter.dim() > 1) {
    call.require(parameter.dim() <= operand.dim(), "a scale or zero point has too many axes");
    return parameter;
  }
  const int64_t axis = side == Side::kLeft ? -2 : -1;
  call.require(operand.dim() >= 2 && parameter.size(0) == operand.size(axis),
               "a scale or zero point does not fit its matrix");
  return side == Side::kLeft ? parameter.unsqueeze(1) : parameter;
}

at::Tensor optional_input(const EvaluateCall& call, size_t index) {
  return call.has(index) ? call.input(index) : at::Tensor();
}

at::Tensor shifted(const at::Tensor& q, const at::Tensor& zero_point) {
  const at::Tensor wide = q.to(at::kFloat);
  return zero_point.defined() ? wide - zero_point.to(at::kFloat) : wide;
}

double largest(const at::Tensor& x) {
  return x.numel() == 0 ? 0.0 : at::max(at::abs(x)).item<double>();
}

/// float32 when every partial sum of `x` with the weights stays exact in it. `axes`: those of
/// `weight` that are summed over.
at::ScalarType exact_type(const at::Tensor& x, const at::Tensor& weight,
                          const std::vector<int64_t>& axes, double bias) {
  const double sums =
      weight.numel() == 0
          ? 0.0
          : at::max(at::sum(at::abs(weight), axes, false, at::kDouble)).item<double>();
  return largest(x) * sums + bias <= kExactFloat ? at::kFloat : at::kDouble;
}

at::Tensor exact_mat_mul(const EvaluateCall& call, const at::Tensor& a, const at::Tensor& b) {
  call.require(a.dim() >= 1 && b.dim() >= 1, "a matrix product needs inputs of rank 1 or more");
  const int64_t inner = b.dim() == 1 ? 0 : b.dim() - 2;
  call.require(a.size(-1) == b.size(inner),
               fmt::format("inner dimensions {} and {} differ", a.size(-1), b.size(inner)));
  const at::ScalarType type = exact_type(a, b, {inner}, 0);
  return at::matmul(a.to(type), b.to(type));
}

at::Tensor exact_conv(const EvaluateCall& call, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& bias) {
  call.require(weight.dim() >= 3 && weight.dim() == x.dim(),
               "weight and input must have the same rank, at least 3");
  std::vector<int64_t> axes;
  for (int64_t axis = 1; axis < weight.dim(); ++axis) axes.push_back(axis);
  const double most = bias.defined() ? largest(bias.to(at::kDouble)) : 0.0;
  const at::ScalarType type = exact_type(x, weight, axes, most);
  return convolve(call, x.to(type), weight.to(type), bias.defined() ? bias.to(type) : bias);
}

/// Integers held in floating point, wrapped to int32 as the runtime's sums would be.
at::Tensor as_int32(const at::Tensor& sums) { return sums.to(at::kLong).to(at::kInt); }

/// Weight parameters of a convolution: a scalar or one per output channel.
at::Tensor filter_parameter(const EvaluateCall& call, const at::Tensor& parameter,
                            const at::Tensor& weight, int64_t channel_axis) {
  if (!parameter.defined() || parameter.numel() == 1)
    return parameter.defined() ? parameter.reshape({}) : parameter;
  call.require(weight.dim() >= 2 && parameter.dim() == 1 && parameter.size(0) == weight.size(0),
               "a weight scale or zero point needs one entry per output channel");
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[static_cast<size_t>(channel_axis)] = weight.size(0);
  return parameter.reshape(shape);
}

at::Tensor scalar_parameter(const EvaluateCall& call, size_t index) {
  if (!call.has(index)) return {};
  call.require(call.input(index).numel() == 1, fmt::format("input {} must be a scalar", index));
  return call.input(index).reshape({});
}

/// saturate(round_half_even(sums * multiplier) + zero_point), in float32 like the runtimes.
at::Tensor requantized(const EvaluateCall& call, const at::Tensor& sums,
                       const at::Tensor& multiplier, const at::Tensor& zero_point, DType fallback) {
  DType to = call.output_dtypes.empty() ? DType::kUndefined : call.output_dtypes[0];
  if (to == DType::kUndefined) to = fallback;
  call.require(is_integer(to) && dtype_bits(to) <= 16, "the output must be a narrow integer");
  at::Tensor y = at::round(sums.to(at::kFloat) * multiplier);
  y = at::where(at::isnan(y), at::zeros_like(y), y);
  if (zero_point.defined()) y = y + zero_point.to(at::kFloat);
  return at::clamp(y, static_cast<double>(integer_min(to)), static_cast<double>(integer_max(to)))
      .to(storage_type(to));
}

}  // namespace

std::vector<at::Tensor> conv_integer(const EvaluateCall& call) {
  const at::Tensor& weight = call.input(1);
  const at::Tensor zero = filter_parameter(call, optional_input(call, 3), weight, 0);
  return {as_int32(exact_conv(call, shifted(call.input(0), scalar_parameter(call, 2)),
                              shifted(weight, zero), {}))};
}

std::vector<at::Tensor> qlinear_conv(const EvaluateCall& call) {
  const at::Tensor& weight = call.input(3);
  const at::Tensor weight_zero = filter_parameter(call, optional_input(call, 5), weight, 0);
  const at::Tensor weight_scale = filter_parameter(call, call.input(4), weight, 1);
  const at::Tensor sums = exact_conv(call, shifted(call.input(0), scalar_parameter(call, 2)),
                                     shifted(weight, weight_zero), optional_input(call, 8));
  call.require(call.has(1) && call.has(6), "a scale is missing");
  const at::Tensor multiplier =
      scalar_parameter(call, 1) * weight_scale / scalar_parameter(call, 6);
  return {requantized(call, sums, multiplier, scalar_parameter(call, 7), call.dtype(0))};
}

std::vector<at::Tensor> mat_mul_integer(const EvaluateCall& call) {
  const at::Tensor& a = call.input(0);
  const at::Tensor& b = call.input(1);
  const at::Tensor a_zero = matrix_parameter(call, optional_input(call, 2), a, Side::kLeft);
  const at::Tensor b_zero = matrix_parameter(call, optional_input(call, 3), b, Side::kRight);
  return {as_int32(exact_mat_mul(call, shifted(a, a_zero), shifted(b, b_zero)))};
}

std::vector<at::Tensor> qlinear_mat_mul(const EvaluateCall& call) {
  const at::Tensor& a = call.input(0);
  const at::Tensor& b = call.input(3);
  const at::Tensor a_zero = matrix_parameter(call, optional_input(call, 2), a, Side::kLeft);
  const at::Tensor b_zero = matrix_parameter(call, optional_input(call, 5), b, Side::kRight);
  const at::Tensor sums = exact_mat_mul(call, shifted(a, a_zero), shifted(b, b_zero));
  call.require(call.has(6), "the output's scale is missing");
  const at::Tensor multiplier = matrix_parameter(call, call.input(1), a, Side::kLeft) *
                                matrix_parameter(call, call.input(4), b, Side::kRight) /
                                scalar_parameter(call, 6);
  return {requantized(call, sums, multiplier, scalar_parameter(call, 7), call.dtype(0))};
}

std::vector<at::Tensor> qgemm(const EvaluateCall& call) {
  at::Tensor a = call.input(0);
  at::Tensor b = call.input(3);
  call.require(a.dim() == 2 && b.dim() == 2, "QGemm needs matrices");
  if (call.attributes().int_or("transA", 0) != 0) a = a.t();
  if (call.attributes().int_or("transB", 0) != 0) b = b.t();
  const at::Tensor b_zero = matrix_parameter(call, optional_input(call, 5), b, Side::kRight);
  const at::Tensor b_scale = matrix_parameter(call, call.input(4), b, Side::kRight);
  at::Tensor sums = exact_mat_mul(call, shifted(a, scalar_parameter(call, 2)), shifted(b, b_zero));
  if (call.has(6)) sums = sums.to(at::kDouble) + call.input(6);
  call.require(sums.dim() == 2 && sums.size(0) == a.size(0) && sums.size(1) == b.size(1),
               "C does not broadcast to the product");
  const double alpha = call.attributes().float_or("alpha", 1.0F);
  call.require(call.has(1), "a scale is missing");
  const at::Tensor scale = scalar_parameter(call, 1) * b_scale * alpha;
  if (!call.has(7)) return {sums.to(at::kFloat) * scale};
  return {requantized(call, sums, scale / scalar_parameter(call, 7), scalar_parameter(call, 8),
                      call.dtype(0))};
}

std::vector<at::Tensor> dynamic_quantize_mat_mul(const EvaluateCall& call) {
  const at::Tensor& b = call.input(1);
  const auto [a_scale, a_zero] = dynamic_parameters(call.input(0));
  const at::Tensor a =
      shifted(quantize_values(call, call.input(0), a_scale, a_zero, DType::kUInt8), a_zero);
  const at::Tensor b_zero = matrix_parameter(call, optional_input(call, 3), b, Side::kRight);
  const at::Tensor sums = exact_mat_mul(call, a, shifted(b, b_zero));
  at::Tensor y =
      sums.to(at::kFloat) * (a_scale * matrix_parameter(call, call.input(2), b, Side::kRight));
  if (call.has(4)) y = y + call.input(4);
  return {y};
}

std::vector<at::Tensor> mat_mul_integer_to_float(const EvaluateCall& call) {
  const at::Tensor& a = call.input(0);
  const at::Tensor& b = call.input(1);
  const at::Tensor a_zero = matrix_parameter(call, optional_input(call, 4), a, Side::kLeft);
  const at::Tensor b_zero = matrix_parameter(call, optional_input(call, 5), b, Side::kRight);
  const at::Tensor sums = exact_mat_mul(call, shifted(a, a_zero), shifted(b, b_zero));
  const at::Tensor scale = matrix_parameter(call, call.input(2), a, Side::kLeft) *
                           matrix_parameter(call, call.input(3), b, Side::kRight);
  at::Tensor y = sums.to(at::kFloat) * scale;
  if (call.has(6)) y = y + call.input(6);
  return {y};
}

at::Tensor nbits_weights(const EvaluateCall& call) {
  const Attributes& attributes = call.attributes();
  const int64_t depth = attributes.int_or("K", 0);
  const int64_t columns = attributes.int_or("N", 0);
  const int64_t bits = attributes.int_or("bits", 4);
  const int64_t block = attributes.int_or("block_size", 0);
  call.require(bits == 4 || bits == 8, "bits must be 4 or 8");
  call.require(block >= 16 && block <= 1 << 20 && (block & (block - 1)) == 0,
               "block_size must be a power of two of at least 16");
  call.require(!call.has(4), "g_idx is not supported");
  call.require(depth >= 1 && depth <= int64_t{1} << 40 && columns >= 1, "K and N must be positive");
  const int64_t blocks = (depth - 1) / block + 1;
  const auto spread = [&](const at::Tensor& numbers, int64_t row_bytes) {
    call.require(numbers.scalar_type() == at::kByte && numbers.numel() % columns == 0 &&
                     numbers.numel() / columns == row_bytes,
                 "weights or zero points have another size than N, K and block_size say");
    const at::Tensor rows = numbers.reshape({columns, row_bytes});
    if (bits == 8) return rows;
    return at::stack({rows.bitwise_and(15), rows.__rshift__(4)}, -1).reshape({columns, -1});
  };
  const at::Tensor& scales = call.input(2);
  call.require(scales.is_floating_point() && scales.numel() % columns == 0 &&
                   scales.numel() / columns == blocks,
               "there must be one scale a block");
  at::Tensor zero = at::full({}, bits == 4 ? 8 : 128, at::kFloat);
  if (call.has(3)) {
    const at::Tensor& given = call.input(3);
    // Packed as the weights are, or numbers of the scales' type.
    const bool is_packed = given.scalar_type() == at::kByte;
    call.require(is_packed || given.numel() == scales.numel(),
                 "there must be one zero point a block");
    zero = (is_packed ? spread(given, (blocks * bits + 7) / 8).slice(1, 0, blocks)
                      : given.reshape({columns, blocks}))
               .to(at::kFloat)
               .unsqueeze(-1);
  }
  const at::Tensor steps = spread(call.input(1), blocks * block * bits / 8)
                               .reshape({columns, blocks, block})
                               .to(at::kFloat);
  return ((steps - zero) * scales.to(at::kFloat).reshape({columns, blocks, 1}))
      .reshape({columns, blocks * block})
      .slice(1, 0, depth);
}

std::vector<at::Tensor> mat_mul_nbits(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const at::Tensor weights = nbits_weights(call);
  call.require(x.dim() > 0 && x.size(-1) == weights.size(1), "the input does not have K columns");
  at::Tensor y = at::matmul(x.to(at::kFloat), weights.t());
  if (call.has(5)) y = y + call.input(5);
  return {y.to(x.scalar_type())};
}

}  // namespace lathe
