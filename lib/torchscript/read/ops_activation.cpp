// Activations, softmax and dropout.
#include <cmath>
#include <numbers>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

template <OpKind kind>
Results unary(AtenCall& call) {
  return call.one(call.emit(kind, {floating(call, 0)}));
}

Results relu(AtenCall& call) {
  const ValueId x = call.tensor(0);
  call.require(call.dtype_of(x) != DType::kBool, "a bool tensor");
  // Runtimes compare integers, but few have their Relu.
  if (!is_floating(call.dtype_of(x))) return call.one(binary(call, OpKind::kMax, x, 0.0));
  return call.one(call.emit(OpKind::kRelu, {x}));
}

ValueId clip(AtenCall& call, ValueId x, ValueId low, ValueId high) {
  return call.emit(OpKind::kClip, {x, low, high});
}

Results relu6(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  return call.one(clip(call, x, call.number_value(0, dtype), call.number_value(6, dtype)));
}

// (self, min_val, max_val)
Results hardtanh(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  const ValueId low = call.is_none(1) ? call.number_value(-1, dtype) : call.scalar(1, dtype);
  const ValueId high = call.is_none(2) ? call.number_value(1, dtype) : call.scalar(2, dtype);
  return call.one(clip(call, x, low, high));
}

Results leaky_relu(AtenCall& call) {
  return call.one(
      call.emit(OpKind::kLeakyRelu, {floating(call, 0)},
                attributes_of({{"alpha", static_cast<float>(call.float_or(1, 0.01))}})));
}

// (self, lower, upper, training, generator): the mean slope when not training
Results rrelu(AtenCall& call) {
  call.require(!call.bool_or(3, false), "random slopes, in training");
  const double slope = (call.float_or(1, 1.0 / 8) + call.float_or(2, 1.0 / 3)) / 2;
  return call.one(call.emit(OpKind::kLeakyRelu, {floating(call, 0)},
                            attributes_of({{"alpha", static_cast<float>(slope)}})));
}

// (self, weight): one slope, or one per channel
Results prelu(AtenCall& call) {
  const ValueId x = floating(call, 0);
  ValueId slope = call.tensor(1);
  const size_t rank = call.rank_of(x);
  const auto count = known_shape(call, slope);
  if (!count) call.refuse("the number of slopes is not known");
  if (element_count(*count) == 1) {
    slope = reshape(call, slope, {1});
  } else {
    std::vector<int64_t> axes;
    for (size_t i = 2; i < rank; ++i) axes.push_back(static_cast<int64_t>(i) - 1);
    slope = unsqueeze(call, slope, axes);
  }
  return call.one(call.emit(OpKind::kPRelu, {x, slope}));
}

// (self, alpha, scale, input_scale): scale * (x > 0 ? x : alpha * (exp(x * input_scale) - 1))
Results elu(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const double alpha = call.float_or(1, 1);
  const double scale = call.float_or(2, 1);
  const double input_scale = call.float_or(3, 1);
  ValueId y;
  if (input_scale == 1) {
    y = call.emit(OpKind::kElu, {x}, attributes_of({{"alpha", static_cast<float>(alpha)}}));
  } else {
    const ValueId bent = call.emit(OpKind::kElu, {binary(call, OpKind::kMul, x, input_scale)},
                                   attributes_of({{"alpha", static_cast<float>(alpha)}}));
    y = call.emit(OpKind::kWhere, {binary(call, OpKind::kGreater, x, 0.0), x, bent});
  }
  return call.one(scale == 1 ? y : binary(call, OpKind::kMul, y, scale));
}

Results celu(AtenCall& call) {
  return call.one(call.emit(OpKind::kCelu, {floating(call, 0)},
                            attributes_of({{"alpha", static_cast<float>(call.float_or(1, 1))}})));
}

Results hardsigmoid(AtenCall& call) {
  return call.one(call.emit(OpKind::kHardSigmoid, {floating(call, 0)},
                            attributes_of({{"alpha", 1.0F / 6.0F}, {"beta", 0.5F}})));
}

Results silu(AtenCall& call) {
  const ValueId x = floating(call, 0);
  return call.one(binary(call, OpKind::kMul, x, call.emit(OpKind::kSigmoid, {x})));
}

Results mish(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const ValueId gate = call.emit(OpKind::kTanh, {call.emit(OpKind::kSoftplus, {x})});
  return call.one(binary(call, OpKind::kMul, x, gate));
}

// (self, approximate). Written out, which every opset has.
Results gelu(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const std::string approximate = call.is_none(1) ? "none" : call.string_of(1);
  ValueId gate;
  if (approximate == "tanh") {
    const ValueId cube = binary(call, OpKind::kMul, binary(call, OpKind::kMul, x, x), x);
    const ValueId inner = binary(call, OpKind::kAdd, x, binary(call, OpKind::kMul, cube, 0.044715));
    constexpr double kFactor = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
    gate = call.emit(OpKind::kTanh, {binary(call, OpKind::kMul, inner, kFactor)});
  } else {
    call.require(approximate == "none", "approximate must be none or tanh");
    gate = call.emit(OpKind::kErf, {binary(call, OpKind::kDiv, x, std::numbers::sqrt2)});
  }
  const ValueId product = binary(call, OpKind::kMul, x, binary(call, OpKind::kAdd, gate, 1.0));
  return call.one(binary(call, OpKind::kMul, product, 0.5));
}

// (self, beta, threshold): x where x * beta > threshold
Results softplus(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const double beta = call.float_or(1, 1);
  const double threshold = call.float_or(2, 20);
  const ValueId scaled = beta == 1 ? x : binary(call, OpKind::kMul, x, beta);
  ValueId y = call.emit(OpKind::kSoftplus, {scaled});
  if (beta != 1) y = binary(call, OpKind::kDiv, y, beta);
  // From here on float32 cannot tell the two apart.
  constexpr double kIndistinct = 17;
  if (threshold < kIndistinct)
    y = call.emit(OpKind::kWhere, {binary(call, OpKind::kGreater, scaled, threshold), x, y});
  return call.one(y);
}

Results log_sigmoid(AtenCall& call) {
  const ValueId negative = call.emit(OpKind::kNeg, {floating(call, 0)});
  return call.one(call.emit(OpKind::kNeg, {call.emit(OpKind::kSoftplus, {negative})}));
}

// (self, dim): a * sigmoid(b) of the two halves
Results glu(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const auto axis =
      static_cast<int64_t>(call.is_none(1) ? call.rank_of(x) - 1 : call.axis(1, call.rank_of(x)));
  const auto size = known_size(call, x, static_cast<size_t>(axis));
  if (!size) call.refuse("the size of the halved dimension is not known");
  call.require(*size % 2 == 0, "an odd size cannot be halved");
  const std::vector<ValueId> halves = split(call, x, axis, {*size / 2, *size / 2});
  return call.one(binary(call, OpKind::kMul, halves[0], call.emit(OpKind::kSigmoid, {halves[1]})));
}

// (self, threshold, value): x where x > threshold, else value
Results threshold(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  const ValueId above = binary(call, OpKind::kGreater, x, call.scalar(1, dtype));
  return call.one(call.emit(OpKind::kWhere, {above, x, call.scalar(2, dtype)}));
}

Results hardshrink(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const ValueId outside =
      binary(call, OpKind::kGreater, call.emit(OpKind::kAbs, {x}), call.float_or(1, 0.5));
  return call.one(call.emit(OpKind::kWhere, {outside, x, call.number_value(0, call.dtype_of(x))}));
}

Results softshrink(AtenCall& call) {
  const auto lambda = static_cast<float>(call.float_or(1, 0.5));
  return call.one(call.emit(OpKind::kShrink, {floating(call, 0)},
                            attributes_of({{"lambd", lambda}, {"bias", lambda}})));
}

// (self, dim, dtype)
template <OpKind kind>
Results softmax(AtenCall& call) {
  ValueId x = call.tensor(0);
  // The third argument of _softmax is half_to_float, a bool.
  if (!call.arg(2).is(AbstractValue::Kind::kBool))
    x = call.cast(x, call.dtype_argument(2, floating_type(call.dtype_of(x))));
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(x)));
  return call.one(call.emit(kind, {x}, attributes_of({{"axis", axis}})));
}

// (input, p, train)
Results dropout(AtenCall& call) {
  call.require(!call.bool_of(2) || call.float_of(1) == 0,
               "it drops at random, in training: save the module after .eval()");
  return {call.arg(0)};
}

// ATen gives these results of quantized tensors a grid of their own.
template <ConvertAten convert, int scale_divisor, int zero_point>
Results fixed_grid(AtenCall& call) {
  const QuantParams* params = call.quantized(0);
  if (params == nullptr) return convert(call);
  const DType dtype = params->dtype;
  Results results = convert(call);
  const int64_t zero = dtype == DType::kInt8 ? zero_point - 128 : zero_point;
  return {on_grid(call, call.builder.use(*results[0].cell),
                  tensor_params(call, 1.0 / scale_divisor, zero, dtype))};
}

constexpr AtenRow kActivationOps[] = {
    {"relu", keeping_grid<relu>},
    {"relu6", keeping_grid<relu6>},
    {"hardtanh", keeping_grid<hardtanh>},
    {"leaky_relu", keeping_grid<leaky_relu>},
    {"rrelu", rrelu},
    {"prelu", prelu},
    {"elu", keeping_grid<elu>},
    {"celu", celu},
    {"selu", unary<OpKind::kSelu>},
    {"hardswish", unary<OpKind::kHardSwish>},
    {"silu", silu},
    {"mish", mish},
    {"gelu", gelu},
    {"softplus", softplus},
    {"softsign", unary<OpKind::kSoftsign>},
    {"log_sigmoid", log_sigmoid},
    {"glu", glu},
    {"threshold", threshold},
    {"hardshrink", hardshrink},
    {"softshrink", softshrink},
    {"softmax _softmax", softmax<OpKind::kSoftmax>},
    {"log_softmax _log_softmax", softmax<OpKind::kLogSoftmax>},
    {"dropout feature_dropout alpha_dropout feature_alpha_dropout", dropout},
    {"hardsigmoid", fixed_grid<hardsigmoid, 256, 0>},
    {"sigmoid", fixed_grid<unary<OpKind::kSigmoid>, 256, 0>},
    {"tanh", fixed_grid<unary<OpKind::kTanh>, 128, 128>},
};

}  // namespace

std::span<const AtenRow> activation_aten_ops() { return kActivationOps; }

}  // namespace lathe
