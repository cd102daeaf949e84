// Functions of single elements, comparisons, logic and bits, where.
#include <cmath>
#include <limits>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

// Functions that give floats, of integers too.
template <OpKind kind>
Results function(AtenCall& call) {
  return call.one(call.emit(kind, {floating(call, 0)}));
}

// Functions that keep the type.
template <OpKind kind>
Results keeping_type(AtenCall& call) {
  return call.one(call.emit(kind, {call.tensor(0)}));
}

// Integers are whole already. (self, decimals)
template <OpKind kind>
Results rounding(AtenCall& call) {
  const ValueId x = call.tensor(0);
  if (!is_floating(call.dtype_of(x))) return call.one(x);
  const double factor = std::pow(10.0, call.float_or(1, 0));
  if (factor == 1) return call.one(call.emit(kind, {x}));
  const ValueId rounded = call.emit(kind, {binary(call, OpKind::kMul, x, factor)});
  return call.one(binary(call, OpKind::kDiv, rounded, factor));
}

Results rsqrt(AtenCall& call) {
  return call.one(call.emit(OpKind::kReciprocal, {call.emit(OpKind::kSqrt, {floating(call, 0)})}));
}

Results square(AtenCall& call) {
  const ValueId x = call.tensor(0);
  return call.one(binary(call, OpKind::kMul, x, x));
}

Results log1p(AtenCall& call) {
  return call.one(call.emit(OpKind::kLog, {binary(call, OpKind::kAdd, floating(call, 0), 1.0)}));
}

Results log2(AtenCall& call) {
  return call.one(binary(call, OpKind::kDiv, call.emit(OpKind::kLog, {floating(call, 0)}), M_LN2));
}

Results log10(AtenCall& call) {
  return call.one(binary(call, OpKind::kDiv, call.emit(OpKind::kLog, {floating(call, 0)}), M_LN10));
}

Results expm1(AtenCall& call) {
  return call.one(binary(call, OpKind::kSub, call.emit(OpKind::kExp, {floating(call, 0)}), 1.0));
}

Results exp2(AtenCall& call) {
  const ValueId x = floating(call, 0);
  return call.one(binary(call, OpKind::kPow, call.number_value(2, call.dtype_of(x)), x));
}

Results erfc(AtenCall& call) {
  const ValueId x = floating(call, 0);
  return call.one(binary(call, OpKind::kSub, call.number_value(1, call.dtype_of(x)),
                         call.emit(OpKind::kErf, {x})));
}

Results is_nan(AtenCall& call) { return call.one(call.emit(OpKind::kIsNaN, {floating(call, 0)})); }

Results is_inf(AtenCall& call) { return call.one(call.emit(OpKind::kIsInf, {floating(call, 0)})); }

Results is_finite(AtenCall& call) {
  const ValueId x = floating(call, 0);
  return call.one(call.emit(OpKind::kNot, {binary(call, OpKind::kOr, call.emit(OpKind::kIsNaN, {x}),
                                                  call.emit(OpKind::kIsInf, {x}))}));
}

// (self, nan, posinf, neginf)
Results nan_to_num(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  if (!is_floating(dtype)) return call.one(x);
  call.require(dtype == DType::kFloat32 || dtype == DType::kFloat64,
               "element types other than float32 and float64");
  const double limit = dtype == DType::kFloat32 ? std::numeric_limits<float>::max()
                                                : std::numeric_limits<double>::max();
  const auto replaced = [&](ValueId where, double number, ValueId otherwise) {
    return call.emit(OpKind::kWhere, {where, call.number_value(number, dtype), otherwise});
  };
  ValueId y = replaced(call.emit(OpKind::kIsNaN, {x}), call.float_or(1, 0), x);
  y = replaced(binary(call, OpKind::kEqual, x, INFINITY), call.float_or(2, limit), y);
  y = replaced(binary(call, OpKind::kEqual, x, -INFINITY), call.float_or(3, -limit), y);
  return call.one(y);
}

template <OpKind kind, bool negated = false>
Results compare(AtenCall& call) {
  DType dtype = promoted_type(call, {0, 1});
  // Order is defined for numbers only.
  if (dtype == DType::kBool && kind != OpKind::kEqual) dtype = DType::kInt32;
  const ValueId y = binary(call, kind, operand(call, 0, dtype), operand(call, 1, dtype));
  return call.one(negated ? call.emit(OpKind::kNot, {y}) : y);
}

template <OpKind kind>
Results logical(AtenCall& call) {
  return call.one(
      binary(call, kind, operand(call, 0, DType::kBool), operand(call, 1, DType::kBool)));
}

Results logical_not(AtenCall& call) {
  return call.one(call.emit(OpKind::kNot, {operand(call, 0, DType::kBool)}));
}

template <OpKind kind, OpKind for_bool>
Results bitwise(AtenCall& call) {
  const DType dtype = promoted_type(call, {0, 1});
  call.require(!is_floating(dtype), "a floating type");
  return call.one(binary(call, dtype == DType::kBool ? for_bool : kind, operand(call, 0, dtype),
                         operand(call, 1, dtype)));
}

Results bitwise_not(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const bool is_bool = call.dtype_of(x) == DType::kBool;
  return call.one(call.emit(is_bool ? OpKind::kNot : OpKind::kBitwiseNot, {x}));
}

// where(condition, self, other); where(condition) gives the indices of each dimension
Results where(AtenCall& call) {
  const ValueId condition = operand(call, 0, DType::kBool);
  if (call.is_none(1)) {
    const ValueId found = call.emit(OpKind::kNonZero, {condition});
    const std::vector<int64_t> ones(call.rank_of(condition), 1);
    call.require(!ones.empty(), "a tensor without dimensions");
    Results items;
    for (const ValueId part : split(call, found, 0, ones))
      items.push_back(call.result(squeeze(call, part, {0})));
    return {AbstractValue::of_items(AbstractValue::Kind::kList, std::move(items))};
  }
  const DType dtype = promoted_type(call, {1, 2});
  return call.one(
      call.emit(OpKind::kWhere, {condition, operand(call, 1, dtype), operand(call, 2, dtype)}));
}

constexpr AtenRow kElementwiseOps[] = {
    {"abs absolute", keeping_type<OpKind::kAbs>},
    {"neg negative", keeping_type<OpKind::kNeg>},
    {"sign sgn", keeping_type<OpKind::kSign>},
    {"floor", rounding<OpKind::kFloor>},
    {"ceil", rounding<OpKind::kCeil>},
    {"round", rounding<OpKind::kRound>},
    {"sqrt", function<OpKind::kSqrt>},
    {"exp", function<OpKind::kExp>},
    {"log", function<OpKind::kLog>},
    {"erf special_erf", function<OpKind::kErf>},
    {"erfc", erfc},
    {"reciprocal", function<OpKind::kReciprocal>},
    {"sin", function<OpKind::kSin>},
    {"cos", function<OpKind::kCos>},
    {"tan", function<OpKind::kTan>},
    {"asin arcsin", function<OpKind::kAsin>},
    {"acos arccos", function<OpKind::kAcos>},
    {"atan arctan", function<OpKind::kAtan>},
    {"sinh", function<OpKind::kSinh>},
    {"cosh", function<OpKind::kCosh>},
    {"asinh", function<OpKind::kAsinh>},
    {"acosh", function<OpKind::kAcosh>},
    {"atanh", function<OpKind::kAtanh>},
    {"rsqrt", rsqrt},
    {"square", square},
    {"log1p", log1p},
    {"log2", log2},
    {"log10", log10},
    {"expm1", expm1},
    {"exp2", exp2},
    {"isnan", is_nan},
    {"isinf", is_inf},
    {"isfinite", is_finite},
    {"nan_to_num", nan_to_num},
    {"eq", compare<OpKind::kEqual>},
    {"ne not_equal", compare<OpKind::kEqual, true>},
    {"lt less", compare<OpKind::kLess>},
    {"le less_equal", compare<OpKind::kLessOrEqual>},
    {"gt greater", compare<OpKind::kGreater>},
    {"ge greater_equal", compare<OpKind::kGreaterOrEqual>},
    {"logical_and", logical<OpKind::kAnd>},
    {"logical_or", logical<OpKind::kOr>},
    {"logical_xor", logical<OpKind::kXor>},
    {"logical_not", logical_not},
    {"bitwise_and __and__", bitwise<OpKind::kBitwiseAnd, OpKind::kAnd>},
    {"bitwise_or __or__", bitwise<OpKind::kBitwiseOr, OpKind::kOr>},
    {"bitwise_xor __xor__", bitwise<OpKind::kBitwiseXor, OpKind::kXor>},
    {"bitwise_not", bitwise_not},
    {"where", where},
};

}  // namespace

std::span<const AtenRow> elementwise_aten_ops() { return kElementwiseOps; }

}  // namespace lathe
