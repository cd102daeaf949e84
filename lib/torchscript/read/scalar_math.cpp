#include "torchscript/read/scalar_math.h"

#include <algorithm>
#include <cmath>

#include "torchscript/read/executor.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

bool is_comparison(NumberOp op) { return op >= NumberOp::kEqual && op <= NumberOp::kGreaterEqual; }

int64_t floor_division(AtenCall& call, int64_t a, int64_t b) {
  if (b == 0) call.refuse("division by zero");
  if (b == -1) {
    if (a == INT64_MIN) call.refuse("an int leaves 64 bits");
    return -a;
  }
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t power(AtenCall& call, int64_t base, int64_t exponent) {
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i)
    if (__builtin_mul_overflow(result, base, &result)) call.refuse("an int leaves 64 bits");
  return result;
}

AbstractValue of_ints(AtenCall& call, NumberOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case NumberOp::kAdd: overflow = __builtin_add_overflow(a, b, &result); break;
    case NumberOp::kSub: overflow = __builtin_sub_overflow(a, b, &result); break;
    case NumberOp::kMul: overflow = __builtin_mul_overflow(a, b, &result); break;
    case NumberOp::kDiv:
      if (b == 0) call.refuse("division by zero");
      return AbstractValue::of_float(static_cast<double>(a) / static_cast<double>(b));
    case NumberOp::kFloorDiv: result = floor_division(call, a, b); break;
    case NumberOp::kRemainder:
      if (b == 0) call.refuse("division by zero");
      result = b == -1 ? 0 : a % b;
      if (result != 0 && (result < 0) != (b < 0)) result += b;
      break;
    case NumberOp::kPow:
      // TorchScript's pow of ints is a float unless it says pow.int_to_int.
      if (call.node.overload == "int_to_int" && b >= 0) {
        result = power(call, a, b);
        break;
      }
      return AbstractValue::of_float(std::pow(static_cast<double>(a), static_cast<double>(b)));
    case NumberOp::kMin: result = std::min(a, b); break;
    case NumberOp::kMax: result = std::max(a, b); break;
    case NumberOp::kAnd: result = a & b; break;
    case NumberOp::kOr: result = a | b; break;
    case NumberOp::kXor: result = a ^ b; break;
    default: break;
  }
  if (overflow) call.refuse("an int leaves 64 bits");
  return AbstractValue::of_int(result);
}

AbstractValue of_floats(AtenCall& call, NumberOp op, double a, double b) {
  switch (op) {
    case NumberOp::kAdd: return AbstractValue::of_float(a + b);
    case NumberOp::kSub: return AbstractValue::of_float(a - b);
    case NumberOp::kMul: return AbstractValue::of_float(a * b);
    case NumberOp::kDiv:
    case NumberOp::kFloorDiv:
    case NumberOp::kRemainder:
      if (b == 0) call.refuse("division by zero");
      if (op == NumberOp::kDiv) return AbstractValue::of_float(a / b);
      if (op == NumberOp::kFloorDiv) return AbstractValue::of_float(std::floor(a / b));
      return AbstractValue::of_float(a - b * std::floor(a / b));
    case NumberOp::kPow: return AbstractValue::of_float(std::pow(a, b));
    case NumberOp::kMin: return AbstractValue::of_float(std::min(a, b));
    case NumberOp::kMax: return AbstractValue::of_float(std::max(a, b));
    default: call.refuse("of floats");
  }
}

template <class T>
bool compared(NumberOp op, T a, T b) {
  switch (op) {
    case NumberOp::kEqual: return a == b;
    case NumberOp::kNotEqual: return a != b;
    case NumberOp::kLess: return a < b;
    case NumberOp::kLessEqual: return a <= b;
    case NumberOp::kGreater: return a > b;
    default: return a >= b;
  }
}

OpKind op_kind_of(NumberOp op) {
  switch (op) {
    case NumberOp::kAdd: return OpKind::kAdd;
    case NumberOp::kSub: return OpKind::kSub;
    case NumberOp::kMul: return OpKind::kMul;
    case NumberOp::kDiv: return OpKind::kDiv;
    case NumberOp::kPow: return OpKind::kPow;
    case NumberOp::kMin: return OpKind::kMin;
    case NumberOp::kMax: return OpKind::kMax;
    case NumberOp::kEqual:
    case NumberOp::kNotEqual: return OpKind::kEqual;
    case NumberOp::kLess: return OpKind::kLess;
    case NumberOp::kLessEqual: return OpKind::kLessOrEqual;
    case NumberOp::kGreater: return OpKind::kGreater;
    case NumberOp::kGreaterEqual: return OpKind::kGreaterOrEqual;
    case NumberOp::kAnd: return OpKind::kAnd;
    case NumberOp::kOr: return OpKind::kOr;
    default: return OpKind::kXor;
  }
}

ValueId number_value(AtenCall& call, const AbstractValue& value, DType dtype) {
  if (!value.cell) return call.number_value(value.number(), dtype);
  return call.cast(call.builder.use(*value.cell), dtype);
}

// a - mod(a, b), divided by b, is exact; Div alone would round towards zero.
ValueId integer_floor_divided(AtenCall& call, ValueId a, ValueId b) {
  const ValueId rest = call.emit(OpKind::kMod, {a, b});
  return call.emit(OpKind::kDiv, {call.emit(OpKind::kSub, {a, rest}), b});
}

AbstractValue computed(AtenCall& call, NumberOp op, const AbstractValue& a,
                       const AbstractValue& b) {
  const bool bools = a.is(Kind::kBool) && b.is(Kind::kBool);
  const bool logical = op == NumberOp::kAnd || op == NumberOp::kOr || op == NumberOp::kXor;
  if (logical && !bools) call.refuse("bits of a number that only a run can tell");
  const bool floats = a.is(Kind::kFloat) || b.is(Kind::kFloat) || op == NumberOp::kDiv ||
                      (op == NumberOp::kPow && call.node.overload != "int_to_int");
  const DType dtype = bools && (logical || op == NumberOp::kEqual || op == NumberOp::kNotEqual)
                          ? DType::kBool
                      : floats ? DType::kFloat64
                               : DType::kInt64;
  const ValueId left = number_value(call, a, dtype);
  const ValueId right = number_value(call, b, dtype);
  const Kind kind = is_comparison(op) || logical ? Kind::kBool : floats ? Kind::kFloat : Kind::kInt;
  if (op == NumberOp::kFloorDiv || op == NumberOp::kRemainder) {
    if (!floats)
      return number_result(call,
                           op == NumberOp::kFloorDiv ? integer_floor_divided(call, left, right)
                                                     : call.emit(OpKind::kMod, {left, right}),
                           kind);
    const ValueId quotient = call.emit(OpKind::kFloor, {call.emit(OpKind::kDiv, {left, right})});
    if (op == NumberOp::kFloorDiv) return number_result(call, quotient, kind);
    return number_result(
        call, call.emit(OpKind::kSub, {left, call.emit(OpKind::kMul, {quotient, right})}), kind);
  }
  ValueId made = call.emit(op_kind_of(op), {left, right});
  if (op == NumberOp::kNotEqual) made = call.emit(OpKind::kNot, {made});
  return number_result(call, made, kind);
}

}  // namespace

AbstractValue number_result(AtenCall& call, ValueId value, Kind kind) {
  if (kind != Kind::kFloat)
    if (const Element element = call.builder.element(value); element.number)
      return kind == Kind::kBool ? AbstractValue::of_bool(*element.number != 0)
                                 : AbstractValue::of_int(*element.number);
  return AbstractValue::of_value(call.builder.scope(), value, kind);
}

AbstractValue number_binary(AtenCall& call, NumberOp op, const AbstractValue& a,
                            const AbstractValue& b) {
  if (!a.is_number() || !b.is_number()) call.refuse("its arguments are not both numbers");
  if (!a.is_known_number() || !b.is_known_number()) return computed(call, op, a, b);
  const bool floats = a.is(Kind::kFloat) || b.is(Kind::kFloat);
  if (is_comparison(op))
    return AbstractValue::of_bool(floats ? compared(op, a.number(), b.number())
                                         : compared(op, a.integer, b.integer));
  if (floats) return of_floats(call, op, a.number(), b.number());
  AbstractValue made = of_ints(call, op, a.integer, b.integer);
  const bool logical = op == NumberOp::kAnd || op == NumberOp::kOr || op == NumberOp::kXor;
  return logical && a.is(Kind::kBool) && b.is(Kind::kBool)
             ? AbstractValue::of_bool(made.integer != 0)
             : made;
}

AbstractValue negated(AtenCall& call, const AbstractValue& value) {
  if (!value.cell) return AbstractValue::of_bool(value.number() == 0);
  const ValueId inner = call.cast(call.builder.use(*value.cell), DType::kBool);
  return number_result(call, call.emit(OpKind::kNot, {inner}), Kind::kBool);
}

AbstractValue both(AtenCall& call, const AbstractValue& a, const AbstractValue& b) {
  if (a.is_known_number()) return a.integer != 0 ? b : a;
  if (b.is_known_number()) return b.integer != 0 ? a : b;
  return number_binary(call, NumberOp::kAnd, a, b);
}

AbstractValue either(AtenCall& call, const AbstractValue& a, const AbstractValue& b) {
  if (a.is_known_number()) return a.integer != 0 ? a : b;
  if (b.is_known_number()) return b.integer != 0 ? b : a;
  return number_binary(call, NumberOp::kOr, a, b);
}

AbstractValue equal_values(AtenCall& call, const AbstractValue& a, const AbstractValue& b) {
  if (const auto known = known_equal(a, b)) return AbstractValue::of_bool(*known);
  if (a.is_number() && b.is_number()) return number_binary(call, NumberOp::kEqual, a, b);
  if (!a.items || !b.items) call.refuse("compares tensors with each other as if they were numbers");
  AbstractValue equal = AbstractValue::of_bool(true);
  for (size_t i = 0; i < a.items->items.size(); ++i)
    equal = both(call, equal, equal_values(call, a.items->items[i], b.items->items[i]));
  return equal;
}

AbstractValue as_kind(AtenCall& call, const AbstractValue& value, Kind kind) {
  if (value.is_known_number()) {
    if (kind == Kind::kBool) return AbstractValue::of_bool(value.number() != 0);
    if (kind == Kind::kFloat) return AbstractValue::of_float(value.number());
    if (!value.is(Kind::kFloat)) return AbstractValue::of_int(value.integer);
    if (!(value.real >= -9.2e18 && value.real <= 9.2e18)) call.refuse("a float is too large");
    return AbstractValue::of_int(static_cast<int64_t>(value.real));
  }
  if (!value.cell) call.refuse("its argument is no number");
  if (value.cell->constant && value.cell->constant->numel() == 1) {
    const Tensor& tensor = *value.cell->constant;
    const bool integers = is_integer(tensor.dtype()) || tensor.dtype() == DType::kBool;
    const AbstractValue number = integers ? AbstractValue::of_int(tensor.to_int64()[0])
                                          : AbstractValue::of_float(tensor.to_double()[0]);
    return as_kind(call, number, kind);
  }
  const DType dtype = kind == Kind::kBool  ? DType::kBool
                      : kind == Kind::kInt ? DType::kInt64
                                           : DType::kFloat64;
  ValueId id = call.builder.use(*value.cell);
  if (const Dims* dims = call.dims_of(id); dims == nullptr || !dims->empty())
    id = call.emit(OpKind::kReshape, {id, call.ints_value({})});
  return number_result(call, call.cast(id, dtype), kind);
}

}  // namespace lathe
