// Arithmetic, comparisons, logic and bits, with ONNX's (NumPy's) broadcasting.
#include <type_traits>

#include "evaluate/constant_tensor.h"
#include "evaluate/evaluate.h"
#include "evaluate/unsigned64.h"
#include "ir/error.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

template <at::Tensor (*F)(const at::Tensor&)>
Outputs unary(const EvaluateCall& call) {
  return {F(call.input(0))};
}

template <at::Tensor (*F)(const at::Tensor&, const at::Tensor&)>
Outputs binary(const EvaluateCall& call) {
  return {F(call.input(0), call.input(1))};
}

template <at::Tensor (*F)(const at::Tensor&, const at::Tensor&)>
Outputs compare(const EvaluateCall& call) {
  return {F(ordered(call.input(0), call.dtype(0)), ordered(call.input(1), call.dtype(0)))};
}

// T: what the elements mean; S: what the tensor holds (int64 for uint64).
template <class T, class S, class F>
at::Tensor integer_loop(const at::Tensor& a, const at::Tensor& b, F function) {
  const std::vector<at::Tensor> both = at::broadcast_tensors({a, b});
  const at::Tensor left = both[0].contiguous(), right = both[1].contiguous();
  at::Tensor out = at::empty_like(left);
  const S* x = left.data_ptr<S>();
  const S* y = right.data_ptr<S>();
  S* z = out.data_ptr<S>();
  for (int64_t i = 0; i < left.numel(); ++i)
    z[i] = static_cast<S>(function(static_cast<T>(x[i]), static_cast<T>(y[i])));
  return out;
}

template <class F>
at::Tensor integer_binary(const EvaluateCall& call, F function) {
  const at::Tensor &a = call.input(0), &b = call.input(1);
  if (call.dtype(0) == DType::kUInt64) return integer_loop<uint64_t, int64_t>(a, b, function);
  at::Tensor out;
  AT_DISPATCH_INTEGRAL_TYPES(a.scalar_type(), "integer_binary",
                             [&] { out = integer_loop<scalar_t, scalar_t>(a, b, function); });
  return out;
}

bool is_integral(const at::Tensor& x) { return at::isIntegralType(x.scalar_type(), false); }

void require_nonzero(const EvaluateCall& call, const at::Tensor& divisor) {
  call.require(!divisor.eq(0).any().item<bool>(), "integer division by zero");
}

// C's division; the one that overflows (smallest / -1) wraps instead of trapping.
template <class T>
T quotient(T a, T b) {
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return static_cast<T>(-static_cast<std::make_unsigned_t<T>>(a));
  return static_cast<T>(a / b);
}

template <class T>
T remainder_of(T a, T b) {
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return 0;
  return static_cast<T>(a % b);
}

Outputs div(const EvaluateCall& call) {
  const at::Tensor &a = call.input(0), &b = call.input(1);
  if (!is_integral(a)) return {at::div(a, b)};
  require_nonzero(call, b);
  return {integer_binary(call, [](auto x, auto y) { return quotient(x, y); })};
}

Outputs mod(const EvaluateCall& call) {
  const at::Tensor &a = call.input(0), &b = call.input(1);
  const bool fmod = call.attributes().int_or("fmod", 0) != 0;
  if (!is_integral(a)) return {fmod ? at::fmod(a, b) : at::remainder(a, b)};
  require_nonzero(call, b);
  return {integer_binary(call, [fmod](auto x, auto y) {
    using T = decltype(x);
    T rest = remainder_of(x, y);
    // Without fmod the sign is the divisor's.
    if constexpr (std::is_signed_v<T>)
      if (!fmod && rest != 0 && (rest < 0) != (y < 0)) rest = static_cast<T>(rest + y);
    return rest;
  })};
}

Outputs pow(const EvaluateCall& call) {
  const at::Tensor &base = call.input(0), &exponent = call.input(1);
  if (!is_integral(base)) {
    // A scalar exponent takes ATen's fast paths (square, root) and has no gradient of its own.
    if (exponent.numel() == 1 && exponent.dim() <= base.dim()) {
      const at::Scalar power(exponent.to(at::kDouble).item<double>());
      return {at::pow(base, power)};
    }
    return {at::pow(base, exponent.to(base.scalar_type()))};
  }
  if (is_integral(exponent)) {
    const at::ScalarType type = base.scalar_type();
    return {at::pow(base.to(at::kLong), exponent.to(at::kLong)).to(type)};
  }
  return {at::pow(base.to(at::kDouble), exponent.to(at::kDouble)).to(base.scalar_type())};
}

Outputs absolute(const EvaluateCall& call) {
  const DType dtype = call.dtype(0);
  if (is_integer(dtype) && !is_signed_integer(dtype)) return {call.input(0)};
  return {at::abs(call.input(0))};
}

Outputs sign(const EvaluateCall& call) {
  const DType dtype = call.dtype(0);
  const at::Tensor& x = call.input(0);
  if (is_integer(dtype) && !is_signed_integer(dtype)) return {x.ne(0).to(x.scalar_type())};
  return {at::sign(x)};
}

Outputs bit_shift(const EvaluateCall& call) {
  const std::string direction = call.attributes().required_string("direction");
  call.require(direction == "LEFT" || direction == "RIGHT", "direction must be LEFT or RIGHT");
  const auto bits = static_cast<uint64_t>(dtype_bits(call.dtype(0)));
  call.require(is_integer(call.dtype(0)) && bits > 0, "input 0 must hold integers");
  const bool left = direction == "LEFT";
  return {integer_binary(call, [bits, left](auto x, auto y) {
    using T = decltype(x);
    // Shifting everything out gives 0, as NumPy does; C leaves it undefined.
    if (static_cast<uint64_t>(y) >= bits) return T{0};
    const auto value = static_cast<uint64_t>(x);
    return static_cast<T>(left ? value << y : value >> y);
  })};
}

template <at::Tensor (*F)(const at::Tensor&, const at::Tensor&)>
at::Tensor fold(const EvaluateCall& call) {
  at::Tensor out = call.input(0);
  for (size_t i = 1; i < call.inputs.size(); ++i) out = F(out, call.input(i));
  return out;
}

template <at::Tensor (*F)(const at::Tensor&, const at::Tensor&)>
Outputs extremum(const EvaluateCall& call) {
  at::Tensor out = ordered(call.input(0), call.dtype(0));
  for (size_t i = 1; i < call.inputs.size(); ++i)
    out = F(out, ordered(call.input(i), call.dtype(0)));
  return {ordered(out, call.dtype(0))};
}

at::Tensor plus(const at::Tensor& a, const at::Tensor& b) { return at::add(a, b); }

Outputs add(const EvaluateCall& call) { return {at::add(call.input(0), call.input(1))}; }
Outputs sub(const EvaluateCall& call) { return {at::sub(call.input(0), call.input(1))}; }
Outputs sum(const EvaluateCall& call) { return {fold<plus>(call)}; }

Outputs mean(const EvaluateCall& call) {
  return {at::div(fold<plus>(call), at::Scalar(static_cast<double>(call.inputs.size())))};
}

Outputs where(const EvaluateCall& call) {
  return {at::where(call.input(0).to(at::kBool), call.input(1), call.input(2))};
}

std::optional<at::Scalar> bound(const EvaluateCall& call, size_t i) {
  if (!call.has(i)) return std::nullopt;
  call.require(call.input(i).numel() == 1, "bounds must be scalars");
  return call.input(i).item();
}

Outputs clip(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  if (call.dtype(0) == DType::kUInt64) {
    at::Tensor out = ordered(x, DType::kUInt64);
    if (call.has(1)) out = at::maximum(out, ordered(call.input(1).reshape({}), DType::kUInt64));
    if (call.has(2)) out = at::minimum(out, ordered(call.input(2).reshape({}), DType::kUInt64));
    return {ordered(out, DType::kUInt64)};
  }
  const auto low = bound(call, 1), high = bound(call, 2);
  if (low && high) return {at::clamp(x, *low, *high)};
  if (low) return {at::clamp_min(x, *low)};
  if (high) return {at::clamp_max(x, *high)};
  return {x};
}

Outputs is_inf(const EvaluateCall& call) {
  const bool negative = call.attributes().int_or("detect_negative", 1) != 0;
  const bool positive = call.attributes().int_or("detect_positive", 1) != 0;
  const at::Tensor& x = call.input(0);
  if (negative && positive) return {at::isinf(x)};
  if (negative) return {at::isneginf(x)};
  if (positive) return {at::isposinf(x)};
  return {at::zeros(x.sizes(), x.options().dtype(at::kBool))};
}

Outputs affine(const EvaluateCall& call) {
  const float alpha = call.attributes().float_or("alpha", 1.0f);
  const float beta = call.attributes().float_or("beta", 0.0f);
  return {at::add(at::mul(call.input(0), at::Scalar(alpha)), at::Scalar(beta))};
}

// Experimental op of early exporters: scale * x + bias[c] over NCHW.
Outputs image_scaler(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const float scale = call.attributes().float_or("scale", 1.0f);
  const std::vector<float> bias = call.attributes().floats_or("bias", {});
  const at::Tensor scaled = at::mul(x, at::Scalar(scale));
  if (bias.empty()) return {scaled};
  call.require(x.dim() == 4 && x.size(1) == static_cast<int64_t>(bias.size()),
               "bias must have one element per channel of an NCHW input");
  return {at::add(scaled, constant_tensor(bias, x.options()).reshape({1, -1, 1, 1}))};
}

}  // namespace

std::span<const EvaluateRow> elementwise_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kAbs, absolute},
      {OpKind::kAcos, unary<at::acos>},
      {OpKind::kAcosh, unary<at::acosh>},
      {OpKind::kAdd, add},
      {OpKind::kAffine, affine},
      {OpKind::kAnd, binary<at::logical_and>},
      {OpKind::kAsin, unary<at::asin>},
      {OpKind::kAsinh, unary<at::asinh>},
      {OpKind::kAtan, unary<at::atan>},
      {OpKind::kAtanh, unary<at::atanh>},
      {OpKind::kBitShift, bit_shift},
      {OpKind::kBitwiseAnd, binary<at::bitwise_and>},
      {OpKind::kBitwiseNot, unary<at::bitwise_not>},
      {OpKind::kBitwiseOr, binary<at::bitwise_or>},
      {OpKind::kBitwiseXor, binary<at::bitwise_xor>},
      {OpKind::kCeil, unary<at::ceil>},
      {OpKind::kClip, clip},
      {OpKind::kCos, unary<at::cos>},
      {OpKind::kCosh, unary<at::cosh>},
      {OpKind::kDiv, div},
      {OpKind::kEqual, binary<at::eq>},
      {OpKind::kErf, unary<at::erf>},
      {OpKind::kExp, unary<at::exp>},
      {OpKind::kFloor, unary<at::floor>},
      {OpKind::kGreater, compare<at::gt>},
      {OpKind::kGreaterOrEqual, compare<at::ge>},
      {OpKind::kIdentity, [](const EvaluateCall& call) { return Outputs{call.input(0)}; }},
      {OpKind::kImageScaler, image_scaler},
      {OpKind::kIsInf, is_inf},
      {OpKind::kIsNaN, unary<at::isnan>},
      {OpKind::kLess, compare<at::lt>},
      {OpKind::kLessOrEqual, compare<at::le>},
      {OpKind::kLog, unary<at::log>},
      {OpKind::kMax, extremum<at::maximum>},
      {OpKind::kMean, mean},
      {OpKind::kMin, extremum<at::minimum>},
      {OpKind::kMod, mod},
      {OpKind::kMul, binary<at::mul>},
      {OpKind::kNeg, unary<at::neg>},
      {OpKind::kNot, unary<at::logical_not>},
      {OpKind::kOr, binary<at::logical_or>},
      {OpKind::kPow, pow},
      {OpKind::kReciprocal, unary<at::reciprocal>},
      {OpKind::kRound, unary<at::round>},  // halves to even, as ONNX asks
      {OpKind::kSign, sign},
      {OpKind::kSin, unary<at::sin>},
      {OpKind::kSinh, unary<at::sinh>},
      {OpKind::kSqrt, unary<at::sqrt>},
      {OpKind::kSub, sub},
      {OpKind::kSum, sum},
      {OpKind::kTan, unary<at::tan>},
      {OpKind::kWhere, where},
      {OpKind::kXor, binary<at::logical_xor>},
  };
  return rows;
}

}  // namespace lathe
