// Ops on the program's own numbers, which share their names with ops on tensors.

#include <cmath>

#include "torchscript/read/executor.h"
#include "torchscript/read/scalar_math.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

struct BinaryRow {
  std::string_view kind;
  NumberOp op;
};

constexpr BinaryRow kBinary[] = {
    {"aten::add", NumberOp::kAdd},
    {"aten::sub", NumberOp::kSub},
    {"aten::mul", NumberOp::kMul},
    {"aten::div", NumberOp::kDiv},
    {"aten::floordiv", NumberOp::kFloorDiv},
    {"aten::floor_divide", NumberOp::kFloorDiv},
    {"aten::remainder", NumberOp::kRemainder},
    {"aten::pow", NumberOp::kPow},
    {"prim::min", NumberOp::kMin},
    {"prim::max", NumberOp::kMax},
    {"aten::eq", NumberOp::kEqual},
    {"aten::ne", NumberOp::kNotEqual},
    {"aten::lt", NumberOp::kLess},
    {"aten::le", NumberOp::kLessEqual},
    {"aten::gt", NumberOp::kGreater},
    {"aten::ge", NumberOp::kGreaterEqual},
    {"aten::__and__", NumberOp::kAnd},
    {"aten::__or__", NumberOp::kOr},
    {"aten::__xor__", NumberOp::kXor},
};

using UnaryFunction = double (*)(double);

struct UnaryRow {
  std::string_view kind;
  OpKind op;
  UnaryFunction function;
  bool gives_int = false;  // floor and ceil of a float are ints in TorchScript
};

constexpr UnaryRow kUnary[] = {
    {"aten::floor", OpKind::kFloor, std::floor, true},
    {"aten::ceil", OpKind::kCeil, std::ceil, true},
    {"aten::round", OpKind::kRound, std::nearbyint},
    {"aten::sqrt", OpKind::kSqrt, std::sqrt},
    {"aten::exp", OpKind::kExp, std::exp},
    {"aten::log", OpKind::kLog, std::log},
    {"aten::sin", OpKind::kSin, std::sin},
    {"aten::cos", OpKind::kCos, std::cos},
    {"aten::tan", OpKind::kTan, std::tan},
};

// A number, or a constant int64 tensor of rank 0: traced code computes sizes on those.
std::optional<AbstractValue> size_number(const AtenCall& call, size_t i) {
  const AbstractValue& value = call.arg(i);
  if (value.is_known_number() && value.is(Kind::kInt)) return value;
  const Tensor* tensor = call.constant(i);
  if (tensor == nullptr || tensor->rank() != 0 || tensor->dtype() != DType::kInt64)
    return std::nullopt;
  return AbstractValue::of_int(tensor->to_int64()[0]);
}

// Arithmetic on such tensors, done here so that the sizes stay known.
std::optional<Results> folded_sizes(AtenCall& call, NumberOp op) {
  const bool plain = op == NumberOp::kAdd || op == NumberOp::kSub || op == NumberOp::kMul ||
                     op == NumberOp::kRemainder || call.node.kind == "aten::floor_divide";
  const AbstractValue& extra = call.arg(2);
  const bool alpha_is_one = !extra.is_number() || (!extra.cell && extra.number() == 1);
  if (!plain || !alpha_is_one) return std::nullopt;
  const auto a = size_number(call, 0);
  const auto b = size_number(call, 1);
  if (!a || !b) return std::nullopt;
  const AbstractValue made = number_binary(call, op, *a, *b);
  return Results{AbstractValue::of_tensor(Tensor::scalar<int64_t>(made.integer))};
}

AbstractValue unary(AtenCall& call, const UnaryRow& row) {
  const AbstractValue& value = call.arg(0);
  AbstractValue made;
  if (value.is_known_number())
    made = AbstractValue::of_float(row.function(value.number()));
  else
    made = AbstractValue::of_value(
        call.builder.scope(), call.emit(row.op, {call.scalar(0, DType::kFloat64)}), Kind::kFloat);
  return row.gives_int ? as_kind(call, made, Kind::kInt) : made;
}

AbstractValue negative_or_magnitude(AtenCall& call, bool negative) {
  const AbstractValue& value = call.arg(0);
  const AbstractValue flipped =
      number_binary(call, NumberOp::kSub, AbstractValue::of_int(0), value);
  if (negative) return flipped;
  if (value.is_known_number()) return value.number() < 0 ? flipped : value;
  return number_binary(call, NumberOp::kMax, value, flipped);
}

}  // namespace

std::optional<Results> run_number_op(AtenCall& call) {
  const std::string_view kind = call.node.kind;
  const bool first = call.arg(0).is_number();
  const bool both_numbers = first && call.arg(1).is_number();
  for (const BinaryRow& row : kBinary) {
    if (row.kind != kind) continue;
    if (both_numbers) return Results{number_binary(call, row.op, call.arg(0), call.arg(1))};
    const bool one_none =
        call.arg(0).is(Kind::kNone) || (call.inputs.size() > 1 && call.arg(1).is(Kind::kNone));
    if (one_none && (row.op == NumberOp::kEqual || row.op == NumberOp::kNotEqual))
      return Results{AbstractValue::of_bool((call.arg(0).kind == call.arg(1).kind) ==
                                            (row.op == NumberOp::kEqual))};
    return folded_sizes(call, row.op);
  }
  if (!first) return std::nullopt;
  if (kind == "aten::neg") return Results{negative_or_magnitude(call, true)};
  if (kind == "aten::abs" || kind == "prim::abs")
    return Results{negative_or_magnitude(call, false)};
  for (const UnaryRow& row : kUnary)
    if (row.kind == kind) return Results{unary(call, row)};
  return std::nullopt;
}

}  // namespace lathe
