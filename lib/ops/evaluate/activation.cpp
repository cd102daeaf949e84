// Activation functions and Dropout; com.microsoft's fused Gelu forms included.
#include "evaluate/evaluate.h"
#include "evaluate/random.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

at::Scalar parameter(const EvaluateCall& call, size_t index = 0) {
  return at::Scalar(parameter_of(call.node, index));
}

Outputs relu(const EvaluateCall& call) {
  const DType dtype = call.dtype(0);
  // Unsigned values that look negative in their wider signed storage are not.
  if (is_integer(dtype) && !is_signed_integer(dtype)) return {call.input(0)};
  return {at::relu(call.input(0))};
}

Outputs elu(const EvaluateCall& call) { return {at::elu(call.input(0), parameter(call))}; }

Outputs celu(const EvaluateCall& call) {
  const float alpha = parameter_of(call.node, 0);
  call.require(alpha != 0.0f, "alpha must not be 0");
  return {at::celu(call.input(0), at::Scalar(alpha))};
}

Outputs selu(const EvaluateCall& call) {
  return {at::elu(call.input(0), parameter(call, 0), parameter(call, 1))};
}

Outputs leaky_relu(const EvaluateCall& call) {
  return {at::leaky_relu(call.input(0), parameter(call))};
}

Outputs thresholded_relu(const EvaluateCall& call) {
  return {at::threshold(call.input(0), parameter(call), 0)};
}

Outputs hard_sigmoid(const EvaluateCall& call) {
  const at::Tensor line = at::add(at::mul(call.input(0), parameter(call, 0)), parameter(call, 1));
  return {at::clamp(line, 0, 1)};
}

Outputs softplus(const EvaluateCall& call) {
  // Above the threshold ATen returns x itself: at 40 exp(-x) is beyond float64's precision.
  return {at::softplus(call.input(0), 1, 40)};
}

Outputs softsign(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  return {at::div(x, at::add(at::abs(x), 1))};
}

Outputs shrink(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const double lambda = parameter_of(call.node, 0);
  const double bias = parameter_of(call.node, 1);
  const at::Tensor real = at::isFloatingType(x.scalar_type()) ? x : x.to(at::kDouble);
  const at::Tensor inner = at::where(real.gt(lambda), at::sub(real, bias), at::zeros_like(real));
  return {at::where(real.lt(-lambda), at::add(real, bias), inner).to(x.scalar_type())};
}

at::Tensor gelu_of(const at::Tensor& x, bool tanh) { return at::gelu(x, tanh ? "tanh" : "none"); }

Outputs gelu(const EvaluateCall& call) {
  const std::string approximate = call.attributes().string_or("approximate", "none");
  call.require(approximate == "none" || approximate == "tanh", "approximate must be none or tanh");
  return {gelu_of(call.input(0), approximate == "tanh")};
}

Outputs bias_gelu(const EvaluateCall& call) {
  return {gelu_of(at::add(call.input(0), call.input(1)), false)};
}

Outputs fast_gelu(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  return {gelu_of(call.has(1) ? at::add(x, call.input(1)) : x, true)};
}

Outputs swish(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  return {at::mul(x, at::sigmoid(at::mul(x, parameter(call))))};
}

Outputs prelu(const EvaluateCall& call) {
  const at::Tensor &x = call.input(0), &slope = call.input(1);
  const bool per_channel = x.dim() >= 2 && slope.dim() == x.dim() - 1 &&
                           slope.numel() == slope.size(0) && slope.numel() == x.size(1);
  if (at::isFloatingType(x.scalar_type()) && per_channel)
    return {at::prelu(x, slope.reshape({slope.numel()}))};
  return {at::where(x.lt(0), at::mul(x, slope), x)};
}

// Inference copies; training draws its mask from lathe's own generator.
Outputs dropout(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(
      (!call.has(1) || call.input(1).numel() == 1) && (!call.has(2) || call.input(2).numel() == 1),
      "ratio and training_mode must be scalars");
  const double ratio = call.has(1) ? call.input(1).to(at::kDouble).item<double>() : 0.5;
  const bool training = call.has(2) && call.input(2).to(at::kBool).item<bool>();
  if (!training || ratio == 0.0) return {x, at::ones(x.sizes(), x.options().dtype(at::kBool))};
  call.require(ratio > 0.0 && ratio < 1.0, "ratio must be in 0..1, 1 excluded");
  RandomBits bits = random_bits(call.node);
  const at::Tensor mask = uniform_values(bits, x.sizes()).ge(ratio);
  return {at::mul(at::mul(x, mask), at::Scalar(1.0 / (1.0 - ratio))), mask};
}

}  // namespace

std::span<const EvaluateRow> activation_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kBiasGelu, bias_gelu},
      {OpKind::kCelu, celu},
      {OpKind::kDropout, dropout},
      {OpKind::kElu, elu},
      {OpKind::kFastGelu, fast_gelu},
      {OpKind::kGelu, gelu},
      {OpKind::kHardSigmoid, hard_sigmoid},
      {OpKind::kHardSwish,
       [](const EvaluateCall& call) { return Outputs{at::hardswish(call.input(0))}; }},
      {OpKind::kLeakyRelu, leaky_relu},
      {OpKind::kMish, [](const EvaluateCall& call) { return Outputs{at::mish(call.input(0))}; }},
      {OpKind::kPRelu, prelu},
      {OpKind::kQuickGelu, swish},
      {OpKind::kRelu, relu},
      {OpKind::kSelu, selu},
      {OpKind::kShrink, shrink},
      {OpKind::kSigmoid,
       [](const EvaluateCall& call) { return Outputs{at::sigmoid(call.input(0))}; }},
      {OpKind::kSoftplus, softplus},
      {OpKind::kSoftsign, softsign},
      {OpKind::kSwish, swish},
      {OpKind::kTanh, [](const EvaluateCall& call) { return Outputs{at::tanh(call.input(0))}; }},
      {OpKind::kThresholdedRelu, thresholded_relu},
  };
  return rows;
}

}  // namespace lathe
