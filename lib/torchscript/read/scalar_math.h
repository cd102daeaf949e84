// Arithmetic of TorchScript's numbers, in Python's semantics: computed here when both are known,
// otherwise nodes on int64, bool and float64 values of rank 0.
#pragma once

#include "torchscript/read/converter.h"

namespace lathe {

enum class NumberOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,        // true division: a float
  kFloorDiv,   // rounds down
  kRemainder,  // has the divisor's sign
  kPow,
  kMin,
  kMax,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
  kXor,
};

/// Throws Error (exit 3) for a division by zero, or when an int leaves 64 bits.
AbstractValue number_binary(AtenCall& call, NumberOp op, const AbstractValue& a,
                            const AbstractValue& b);
AbstractValue negated(AtenCall& call, const AbstractValue& value);  // not
AbstractValue both(AtenCall& call, const AbstractValue& a, const AbstractValue& b);
AbstractValue either(AtenCall& call, const AbstractValue& a, const AbstractValue& b);
/// ==, through lists and tuples.
AbstractValue equal_values(AtenCall& call, const AbstractValue& a, const AbstractValue& b);
/// int(), float(), bool() of a number or of a tensor with one element.
AbstractValue as_kind(AtenCall& call, const AbstractValue& value, AbstractValue::Kind kind);
/// A computed number; known after all when inference says so.
AbstractValue number_result(AtenCall& call, ValueId value, AbstractValue::Kind kind);

}  // namespace lathe
