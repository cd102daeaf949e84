// What the conversion of one TorchScript op gets and gives. Op families live in ops_*.cpp and are
// listed in ops_table.cpp; control flow, lists, numbers and state are elsewhere in this folder.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "torchscript/read/abstract_value.h"
#include "torchscript/read/graph_builder.h"

namespace lathe {

/// One op with its arguments, which stand in schema order (native_functions.yaml), defaults
/// included. All accessors throw Error (exit 3) that names op and source line when the argument is
/// of another kind; those that need a known value also when only a run can tell it. Pointers and
/// references to types and dims hold until the next value is added: copy what you need longer.
class AtenCall {
 public:
  AtenCall(GraphBuilder& the_builder, const TorchNode& the_node, std::vector<AbstractValue> args,
           std::vector<std::string>& the_notes)
      : builder(the_builder), node(the_node), inputs(std::move(args)), notes(the_notes) {}

  // -- arguments -----------------------------------------------------------------------------
  /// None beyond the end (older files leave new trailing arguments out).
  const AbstractValue& arg(size_t i) const;
  bool is_none(size_t i) const { return arg(i).is(AbstractValue::Kind::kNone); }
  /// The argument as a value of the graph. Numbers (known or not) become rank-0 tensors: int64,
  /// bool, and float32 for floats; see scalar() for another type.
  ValueId tensor(size_t i);
  /// Invalid for None.
  ValueId tensor_or_none(size_t i);
  /// A number or rank-0 tensor as a rank-0 value of `dtype`.
  ValueId scalar(size_t i, DType dtype);
  /// The tensor when it is known now, nullptr otherwise.
  const Tensor* constant(size_t i) const;
  /// Parameters of a quantized tensor, nullptr for others.
  const QuantParams* quantized(size_t i) const;
  DType dtype(size_t i);
  /// nullptr when the rank is unknown.
  const Dims* dims(size_t i);
  /// Refuses an unknown rank.
  size_t rank(size_t i);
  int64_t int_of(size_t i) const;  // also of a bool
  int64_t int_or(size_t i, int64_t if_none) const;
  double float_of(size_t i) const;  // also of an int or bool
  double float_or(size_t i, double if_none) const;
  bool bool_of(size_t i) const;
  bool bool_or(size_t i, bool if_none) const;
  const std::string& string_of(size_t i) const;
  /// nullopt unless it is a number that is known now.
  std::optional<int64_t> known_int(size_t i) const;
  /// A list of ints; a single int counts as a list of one.
  std::vector<int64_t> ints(size_t i) const;
  /// As ints(), one element repeated to `count` (kernel_size=3 means [3, 3]); refuses other counts.
  std::vector<int64_t> ints_of_size(size_t i, size_t count) const;
  std::vector<double> floats(size_t i) const;
  /// nullopt when an element is known only at run time.
  std::optional<std::vector<int64_t>> known_ints(size_t i) const;
  /// A list of ints, known or not, as an int64 vector (for Reshape, Expand, Slice, …).
  ValueId shape_vector(size_t i);
  /// A list or tuple of tensors.
  std::vector<ValueId> tensors(size_t i);
  std::span<const AbstractValue> items(size_t i) const;
  const TorchPackedParams& packed(size_t i) const;
  /// A known dimension number brought into 0..rank-1.
  size_t axis(size_t i, size_t rank) const;
  size_t normal_axis(int64_t axis, size_t rank) const;
  /// A known ScalarType number (6 = float, 4 = long, …) as a DType; `if_none` for None.
  DType dtype_argument(size_t i, DType if_none) const;

  // -- building ------------------------------------------------------------------------------
  ValueId emit(OpKind kind, std::vector<ValueId> operands, Attributes attributes = {});
  std::vector<ValueId> emit_many(OpKind kind, std::vector<ValueId> operands, size_t count,
                                 Attributes attributes = {});
  ValueId constant_value(Tensor tensor) { return builder.constant(std::move(tensor)); }
  /// An int64 vector; {} gives length 0.
  ValueId ints_value(const std::vector<int64_t>& numbers);
  ValueId int_value(int64_t number);  // int64 rank 0
  /// A rank-0 constant of `dtype`.
  ValueId number_value(double number, DType dtype);
  /// `value` itself when it has that type already.
  ValueId cast(ValueId value, DType dtype);
  const ValueType& type(ValueId value) const { return builder.type(value); }
  DType dtype_of(ValueId value) const { return builder.type(value).dtype; }
  const Dims* dims_of(ValueId value) const;
  size_t rank_of(ValueId value) const;  // refuses an unknown rank
  /// One dimension as an int64 rank-0 value, constant when known.
  ValueId size_value(ValueId value, size_t axis);
  /// One dimension as a number, known when possible.
  AbstractValue size_number(ValueId value, size_t axis);

  // -- results -------------------------------------------------------------------------------
  AbstractValue result(ValueId value) const {
    return AbstractValue::of_value(builder.scope(), value);
  }
  /// A quantized result: `value` holds the real numbers, on the grid of `params`.
  AbstractValue quantized_result(ValueId value, QuantParams params) const;
  std::vector<AbstractValue> one(ValueId value) const { return {result(value)}; }

  /// Exit 3: "aten::foo: MESSAGE", where = the source line.
  [[noreturn]] void refuse(const std::string& message) const;
  void require(bool holds, const char* message) const {
    if (!holds) refuse(message);
  }
  /// An assumption that the user should know of.
  void note(const std::string& text);

  GraphBuilder& builder;
  const TorchNode& node;
  std::vector<AbstractValue> inputs;
  std::vector<std::string>& notes;
};

/// One AbstractValue per output of the node. A result that is its argument unchanged (aten::to of
/// the same type, dropout in inference) returns that argument, so that the two stay one tensor.
using Results = std::vector<AbstractValue>;
using ConvertAten = Results (*)(AtenCall&);

struct AtenRow {
  /// Kinds with this conversion, separated by spaces, without "aten::" ("lt less"). All overloads,
  /// told apart by the arguments.
  std::string_view kinds;
  ConvertAten convert;
};

/// The conversion of an op, nullptr when there is none. In-place forms ("aten::relu_") are looked
/// up without the underscore and written back by the caller: families list only "relu".
/// Views (select, slice, view, permute, …) need nothing special either.
ConvertAten find_aten_op(std::string_view kind);

// The families, one or more .cpp each; ops_table.cpp lists them.
std::span<const AtenRow>
arithmetic_aten_ops();                         // ops_arithmetic.cpp: binary, unary, compare, where
std::span<const AtenRow> creation_aten_ops();  // ops_creation.cpp: zeros, full, arange, to, tensor
std::span<const AtenRow> number_aten_ops();    // convert_numbers.cpp: Int, item, dim, size, …

/// ATen's ScalarType number as a DType; kUndefined for complex and unknown ones. Quantized types
/// (qint8 12, quint8 13, qint32 14) give their integer type.
DType dtype_of_scalar_type(int64_t scalar_type);
int64_t scalar_type_of(DType dtype);

}  // namespace lathe
