// What a program asks about tensors (sizes, types) and numbers made of tensors.

#include <cmath>

#include "torchscript/read/executor.h"
#include "torchscript/read/scalar_math.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

Results to_int(AtenCall& call) { return {as_kind(call, call.arg(0), Kind::kInt)}; }
Results to_float(AtenCall& call) {
  const AbstractValue& value = call.arg(0);
  if (value.is(Kind::kString)) {
    if (value.text == "inf") return {AbstractValue::of_float(INFINITY)};
    if (value.text == "-inf") return {AbstractValue::of_float(-INFINITY)};
    if (value.text == "nan") return {AbstractValue::of_float(NAN)};
    call.refuse("a float written as a string");
  }
  return {as_kind(call, value, Kind::kFloat)};
}
Results to_bool(AtenCall& call) { return {as_kind(call, call.arg(0), Kind::kBool)}; }

Results item(AtenCall& call) {
  if (call.arg(0).is_number()) return {call.arg(0)};
  const DType dtype = call.dtype(0);
  const Kind kind = is_floating(dtype)      ? Kind::kFloat
                    : dtype == DType::kBool ? Kind::kBool
                                            : Kind::kInt;
  return {as_kind(call, call.arg(0), kind)};
}

Results number_to_tensor(AtenCall& call) {
  const AbstractValue& value = call.arg(0);
  if (value.is(Kind::kTensor)) return {value};
  if (!value.cell && value.is(Kind::kInt))
    return {AbstractValue::of_tensor(Tensor::scalar<int64_t>(value.integer))};
  return call.one(call.tensor(0));
}

Results dim(AtenCall& call) {
  const ValueId tensor = call.tensor(0);
  if (const Dims* dims = call.dims_of(tensor))
    return {AbstractValue::of_int(static_cast<int64_t>(dims->size()))};
  const ValueId sizes = call.emit(OpKind::kShape, {tensor});
  return {number_result(call, call.emit(OpKind::kSize, {sizes}), Kind::kInt)};
}

Results size(AtenCall& call) {
  const ValueId tensor = call.tensor(0);
  if (!call.is_none(1)) {
    const auto axis = call.known_int(1);
    if (axis && *axis >= 0 && call.dims_of(tensor) == nullptr)
      return {call.size_number(tensor, static_cast<size_t>(*axis))};
    return {call.size_number(tensor, call.axis(1, call.rank_of(tensor)))};
  }
  Results sizes;
  const size_t rank = call.rank_of(tensor);
  for (size_t i = 0; i < rank; ++i) sizes.push_back(call.size_number(tensor, i));
  return {AbstractValue::of_items(Kind::kList, std::move(sizes))};
}

Results length(AtenCall& call) { return {call.size_number(call.tensor(0), 0)}; }

Results element_total(AtenCall& call) {
  const ValueId tensor = call.tensor(0);
  if (const Dims* dims = call.dims_of(tensor))
    if (const auto shape = static_shape(*dims))
      return {AbstractValue::of_int(element_count(*shape))};
  return {number_result(call, call.emit(OpKind::kSize, {tensor}), Kind::kInt)};
}

Results is_floating_point(AtenCall& call) {
  return {AbstractValue::of_bool(is_floating(call.dtype(0)))};
}
Results no(AtenCall&) { return {AbstractValue::of_bool(false)}; }
Results yes(AtenCall&) { return {AbstractValue::of_bool(true)}; }
Results dtype(AtenCall& call) {
  if (const QuantParams* params = call.quantized(0))
    return {AbstractValue::of_int(params->dtype == DType::kInt8 ? 12 : 13)};
  return {AbstractValue::of_int(scalar_type_of(call.dtype(0)))};
}
Results device(AtenCall&) { return {AbstractValue::of_string("cpu")}; }
Results layout(AtenCall&) { return {AbstractValue::of_int(0)}; }

Results python_not(AtenCall& call) {
  if (call.arg(0).is(Kind::kTensor))
    return call.one(call.emit(OpKind::kNot, {call.cast(call.tensor(0), DType::kBool)}));
  return {negated(call, call.arg(0))};
}

// Iterations of range(start, end, step), and what its i-th number is.
Results range_length(AtenCall& call) {
  const int64_t step = call.int_of(2);
  call.require(step != 0, "a range with step 0");
  AbstractValue span =
      number_binary(call, NumberOp::kSub, call.arg(step > 0 ? 1 : 0), call.arg(step > 0 ? 0 : 1));
  call.require(step != INT64_MIN, "a range with too large a step");
  const int64_t stride = step > 0 ? step : -step;
  span = number_binary(call, NumberOp::kAdd, span, AbstractValue::of_int(stride - 1));
  span = number_binary(call, NumberOp::kFloorDiv, span, AbstractValue::of_int(stride));
  return {number_binary(call, NumberOp::kMax, span, AbstractValue::of_int(0))};
}

Results derive_index(AtenCall& call) {
  const AbstractValue offset = number_binary(call, NumberOp::kMul, call.arg(0), call.arg(2));
  return {number_binary(call, NumberOp::kAdd, call.arg(1), offset)};
}

constexpr AtenRow kNumberOps[] = {
    {"Int IntImplicit", to_int},
    {"Float FloatImplicit", to_float},
    {"Bool", to_bool},
    {"item ScalarImplicit prim::ImplicitTensorToNum", item},
    {"prim::NumToTensor scalar_tensor", number_to_tensor},
    {"dim", dim},
    {"size prim::shape", size},
    {"len", length},
    {"numel", element_total},
    {"is_floating_point", is_floating_point},
    {"is_complex prim::is_cuda prim::is_mkldnn prim::is_sparse prim::is_meta", no},
    {"prim::requires_grad is_grad_enabled is_autocast_enabled is_autocast_cpu_enabled", no},
    {"is_scripting", yes},
    {"prim::dtype", dtype},
    {"prim::device", device},
    {"prim::layout", layout},
    {"__not__ logical_not", python_not},
    {"__range_length", range_length},
    {"__derive_index", derive_index},
};

}  // namespace

std::span<const AtenRow> number_aten_ops() { return kNumberOps; }

}  // namespace lathe
