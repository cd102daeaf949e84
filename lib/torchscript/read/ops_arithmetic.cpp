// Arithmetic with PyTorch's type promotion: add, mul, div, pow, clamp, …
#include <cmath>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

// Arguments 0 and 1 in their common type.
struct Pair {
  ValueId a, b;
  DType dtype;
};

Pair pair_of(AtenCall& call, bool as_float = false) {
  DType dtype = promoted_type(call, {0, 1});
  if (as_float) dtype = floating_type(dtype);
  return {operand(call, 0, dtype), operand(call, 1, dtype), dtype};
}

// value * argument i, left out for a missing or known factor of 1.
ValueId times(AtenCall& call, ValueId value, size_t i) {
  if (call.is_none(i)) return value;
  if (call.arg(i).is_known_number() && call.arg(i).number() == 1) return value;
  return binary(call, OpKind::kMul, value, operand(call, i, call.dtype_of(value)));
}

// (self, other, alpha): self + alpha * other
Results add(AtenCall& call) {
  const Pair pair = pair_of(call);
  if (pair.dtype == DType::kBool) return call.one(binary(call, OpKind::kOr, pair.a, pair.b));
  return call.one(binary(call, OpKind::kAdd, pair.a, times(call, pair.b, 2)));
}

Results sub(AtenCall& call) {
  const Pair pair = pair_of(call);
  call.require(pair.dtype != DType::kBool, "bool tensors");
  return call.one(binary(call, OpKind::kSub, pair.a, times(call, pair.b, 2)));
}

// other - alpha * self
Results rsub(AtenCall& call) {
  const Pair pair = pair_of(call);
  call.require(pair.dtype != DType::kBool, "bool tensors");
  return call.one(binary(call, OpKind::kSub, pair.b, times(call, pair.a, 2)));
}

Results mul(AtenCall& call) {
  const Pair pair = pair_of(call);
  const OpKind kind = pair.dtype == DType::kBool ? OpKind::kAnd : OpKind::kMul;
  return call.one(binary(call, kind, pair.a, pair.b));
}

ValueId truncated(AtenCall& call, ValueId x) {
  if (!is_floating(call.dtype_of(x))) return x;
  return call.emit(OpKind::kWhere, {binary(call, OpKind::kLess, x, 0.0),
                                    call.emit(OpKind::kCeil, {x}), call.emit(OpKind::kFloor, {x})});
}

ValueId fmod_of(AtenCall& call, ValueId a, ValueId b) {
  return call.emit(OpKind::kMod, {a, b}, attributes_of({{"fmod", int64_t{1}}}));
}

// The remainder with the divisor's sign. ONNX's Mod has it for integers only.
ValueId remainder_of(AtenCall& call, ValueId a, ValueId b) {
  if (!is_floating(call.dtype_of(a))) return binary(call, OpKind::kMod, a, b);
  const ValueId rest = fmod_of(call, a, b);
  const ValueId other_sign = binary(call, OpKind::kXor, binary(call, OpKind::kLess, b, 0.0),
                                    binary(call, OpKind::kLess, rest, 0.0));
  const ValueId nonzero = call.emit(OpKind::kNot, {binary(call, OpKind::kEqual, rest, 0.0)});
  return call.emit(OpKind::kWhere, {binary(call, OpKind::kAnd, other_sign, nonzero),
                                    binary(call, OpKind::kAdd, rest, b), rest});
}

bool is_power_of_two(AtenCall& call, ValueId value) {
  const Tensor* constant = call.builder.graph().constant(value);
  if (constant == nullptr || constant->numel() != 1 || !is_floating(constant->dtype()))
    return false;
  int exponent = 0;
  return std::frexp(constant->to_double()[0], &exponent) == 0.5;
}

ValueId floor_divided(AtenCall& call, ValueId a, ValueId b) {
  if (is_floating(call.dtype_of(a)) && is_power_of_two(call, b))
    return call.emit(OpKind::kFloor, {binary(call, OpKind::kDiv, a, b)});
  // 1.0 // 0.1 is 9 though 1.0 / 0.1 rounds to 10: through the remainder, as ATen does.
  const ValueId whole = binary(call, OpKind::kSub, a, remainder_of(call, a, b));
  const ValueId quotient = binary(call, OpKind::kDiv, whole, b);
  return is_floating(call.dtype_of(a)) ? call.emit(OpKind::kRound, {quotient}) : quotient;
}

// (self, other, rounding_mode)
Results div(AtenCall& call) {
  if (call.is_none(2)) {
    const Pair pair = pair_of(call, true);
    return call.one(binary(call, OpKind::kDiv, pair.a, pair.b));
  }
  const std::string& mode = call.string_of(2);
  const Pair pair = pair_of(call);
  if (mode == "floor") return call.one(floor_divided(call, pair.a, pair.b));
  call.require(mode == "trunc", "rounding_mode must be floor or trunc");
  return call.one(truncated(call, binary(call, OpKind::kDiv, pair.a, pair.b)));
}

Results floor_divide(AtenCall& call) {
  const Pair pair = pair_of(call);
  return call.one(floor_divided(call, pair.a, pair.b));
}

Results remainder(AtenCall& call) {
  const Pair pair = pair_of(call);
  return call.one(remainder_of(call, pair.a, pair.b));
}

Results fmod(AtenCall& call) {
  const Pair pair = pair_of(call);
  return call.one(fmod_of(call, pair.a, pair.b));
}

Results pow(AtenCall& call) {
  const Pair pair = pair_of(call);
  if (call.arg(1).is_known_number()) {
    const double exponent = call.arg(1).number();
    if (exponent == 1) return call.one(pair.a);
    if (exponent == 2) return call.one(binary(call, OpKind::kMul, pair.a, pair.a));
    if (exponent == 0.5) return call.one(call.emit(OpKind::kSqrt, {pair.a}));
    call.require(exponent >= 0 || is_floating(pair.dtype), "integers to a negative power");
  }
  return call.one(binary(call, OpKind::kPow, pair.a, pair.b));
}

Results atan2(AtenCall& call) {
  const Pair pair = pair_of(call, true);
  const ValueId y = pair.a;
  const ValueId x = pair.b;
  const ValueId angle = call.emit(OpKind::kAtan, {binary(call, OpKind::kDiv, y, x)});
  const ValueId turn = call.emit(
      OpKind::kWhere, {binary(call, OpKind::kLess, y, 0.0), call.number_value(-M_PI, pair.dtype),
                       call.number_value(M_PI, pair.dtype)});
  const ValueId turned = call.emit(
      OpKind::kWhere,
      {binary(call, OpKind::kLess, x, 0.0), binary(call, OpKind::kAdd, angle, turn), angle});
  // 0 / 0 is no angle.
  const ValueId origin = binary(call, OpKind::kAnd, binary(call, OpKind::kEqual, x, 0.0),
                                binary(call, OpKind::kEqual, y, 0.0));
  return call.one(call.emit(OpKind::kWhere, {origin, call.number_value(0, pair.dtype), turned}));
}

Results hypot(AtenCall& call) {
  const Pair pair = pair_of(call, true);
  const ValueId sum = binary(call, OpKind::kAdd, binary(call, OpKind::kMul, pair.a, pair.a),
                             binary(call, OpKind::kMul, pair.b, pair.b));
  return call.one(call.emit(OpKind::kSqrt, {sum}));
}

template <OpKind kind, OpKind for_bool>
Results extremum_of_pair(AtenCall& call) {
  const Pair pair = pair_of(call);
  return call.one(binary(call, pair.dtype == DType::kBool ? for_bool : kind, pair.a, pair.b));
}

// (self, min, max), either of them None; numbers or tensors
Results clamp_between(AtenCall& call, size_t low, size_t high) {
  const DType dtype = promoted_type(call, {0, low, high});
  ValueId x = operand(call, 0, dtype);
  const auto is_scalar = [&](size_t i) { return call.is_none(i) || call.arg(i).is_number(); };
  if (is_scalar(low) && is_scalar(high)) {
    std::vector<ValueId> operands = {x};
    operands.push_back(call.is_none(low) ? ValueId{} : operand(call, low, dtype));
    if (!call.is_none(high)) operands.push_back(operand(call, high, dtype));
    return call.one(call.emit(OpKind::kClip, std::move(operands)));
  }
  if (!call.is_none(low)) x = binary(call, OpKind::kMax, x, operand(call, low, dtype));
  if (!call.is_none(high)) x = binary(call, OpKind::kMin, x, operand(call, high, dtype));
  return call.one(x);
}

// An index beyond the arguments stands for None.
constexpr size_t kNoArgument = 1000;

Results clamp(AtenCall& call) { return clamp_between(call, 1, 2); }
Results clamp_min(AtenCall& call) { return clamp_between(call, 1, kNoArgument); }
Results clamp_max(AtenCall& call) { return clamp_between(call, kNoArgument, 1); }

// (self, tensor1, tensor2, value): self + value * tensor1 * tensor2 (or / tensor2)
template <OpKind kind>
Results addc(AtenCall& call) {
  DType dtype = promoted_type(call, {0, 1, 2});
  if (kind == OpKind::kDiv) dtype = floating_type(dtype);
  const ValueId combined = binary(call, kind, operand(call, 1, dtype), operand(call, 2, dtype));
  return call.one(binary(call, OpKind::kAdd, operand(call, 0, dtype), times(call, combined, 3)));
}

// (self, end, weight): self + weight * (end - self)
Results lerp(AtenCall& call) {
  const DType dtype = promoted_type(call, {0, 1});
  const ValueId start = operand(call, 0, dtype);
  const ValueId distance = binary(call, OpKind::kSub, operand(call, 1, dtype), start);
  return call.one(binary(call, OpKind::kAdd, start,
                         binary(call, OpKind::kMul, operand(call, 2, dtype), distance)));
}

// (self, dim, dtype)
Results cumsum(AtenCall& call) {
  ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  x = call.cast(x, call.dtype_argument(2, is_floating(dtype) ? dtype : DType::kInt64));
  const size_t rank = call.rank_of(x);
  if (rank == 0) return call.one(x);
  const auto axis = static_cast<int64_t>(call.axis(1, rank));
  return call.one(call.emit(OpKind::kCumSum, {x, call.int_value(axis)}));
}

Results trunc(AtenCall& call) { return call.one(truncated(call, call.tensor(0))); }

Results frac(AtenCall& call) {
  const ValueId x = call.tensor(0);
  return call.one(binary(call, OpKind::kSub, x, truncated(call, x)));
}

constexpr AtenRow kArithmeticOps[] = {
    {"add", add},
    {"sub subtract", sub},
    {"rsub", rsub},
    {"mul multiply", mul},
    {"div divide true_divide", div},
    {"floor_divide", floor_divide},
    {"remainder", remainder},
    {"fmod", fmod},
    {"pow", pow},
    {"atan2 arctan2", atan2},
    {"hypot", hypot},
    {"maximum", extremum_of_pair<OpKind::kMax, OpKind::kOr>},
    {"minimum", extremum_of_pair<OpKind::kMin, OpKind::kAnd>},
    {"clamp clip", keeping_grid<clamp>},
    {"clamp_min", clamp_min},
    {"clamp_max", clamp_max},
    {"addcmul", addc<OpKind::kMul>},
    {"addcdiv", addc<OpKind::kDiv>},
    {"lerp", lerp},
    {"cumsum", cumsum},
    {"trunc fix", trunc},
    {"frac", frac},
};

}  // namespace

std::span<const AtenRow> arithmetic_aten_ops() { return kArithmeticOps; }

}  // namespace lathe
