// Tensors made from sizes and numbers, changes of type, and whole-tensor writes.

#include <cmath>

#include "torchscript/read/converter.h"
#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// Larger ones stay a ConstantOfShape, which is small in the file.
constexpr int64_t kMaxKnownElements = 1024;

// Undefined when the number is none of the type's, or the type is none of the usual ones.
Tensor filled(const Shape& shape, DType dtype, double number) {
  if (dtype == DType::kInt64 && !(std::abs(number) < 9e15)) return {};
  const auto count = static_cast<size_t>(element_count(shape));
  switch (dtype) {
    case DType::kFloat32:
      return Tensor::of<float>(shape, std::vector<float>(count, static_cast<float>(number)));
    case DType::kInt64:
      return Tensor::of<int64_t>(shape, std::vector<int64_t>(count, static_cast<int64_t>(number)));
    case DType::kBool: return Tensor::of<bool>(shape, std::vector<bool>(count, number != 0));
    default: return {};
  }
}

// A tensor of `sizes` (an argument) whose elements are the number argument, or `number`.
Results full_of(AtenCall& call, size_t sizes, const AbstractValue& number, DType dtype) {
  const auto known = call.known_ints(sizes);
  if (known && number.is_known_number()) {
    for (const int64_t size : *known) call.require(size >= 0, "a negative size");
    if (element_count(*known) <= kMaxKnownElements)
      if (Tensor tensor = filled(*known, dtype, number.number()); tensor.defined())
        return {AbstractValue::of_tensor(std::move(tensor))};
  }
  AtenCall value(call.builder, call.node, {number}, call.notes);
  return call.one(call.emit(OpKind::kExpand, {value.scalar(0, dtype), call.shape_vector(sizes)}));
}

// The dtype argument; without one, the default for tensors made of nothing.
template <int number>
Results sized(AtenCall& call) {
  return full_of(call, 0, AbstractValue::of_int(number), call.dtype_argument(1, DType::kFloat32));
}

DType default_of(const AbstractValue& number) {
  return number.is(Kind::kBool)  ? DType::kBool
         : number.is(Kind::kInt) ? DType::kInt64
                                 : DType::kFloat32;
}

Results full(AtenCall& call) {
  const DType dtype = call.dtype_argument(2, default_of(call.arg(1)));
  return full_of(call, 0, call.arg(1), dtype);
}

Results like(AtenCall& call, const AbstractValue& number, size_t dtype_at) {
  const ValueId from = call.tensor(0);
  const DType dtype = call.dtype_argument(dtype_at, call.dtype_of(from));
  AtenCall value(call.builder, call.node, {number}, call.notes);
  if (const auto shape = known_shape(call, from))
    if (element_count(*shape) <= kMaxKnownElements && number.is_known_number())
      if (Tensor tensor = filled(*shape, dtype, number.number()); tensor.defined())
        return {AbstractValue::of_tensor(std::move(tensor))};
  return call.one(call.emit(OpKind::kExpand, {value.scalar(0, dtype), shape_of(call, from)}));
}

template <int number>
Results sized_like(AtenCall& call) {
  return like(call, AbstractValue::of_int(number), 1);
}
Results full_like(AtenCall& call) { return like(call, call.arg(1), 2); }

template <int number>
Results new_sized(AtenCall& call) {
  return full_of(call, 1, AbstractValue::of_int(number), call.dtype_argument(2, call.dtype(0)));
}
Results new_full(AtenCall& call) {
  return full_of(call, 1, call.arg(2), call.dtype_argument(3, call.dtype(0)));
}

// arange(end), arange(start, end), arange(start, end, step), told apart by the overload.
Results arange(AtenCall& call) {
  size_t count = call.node.overload == "start_step" ? 3 : call.node.overload == "start" ? 2 : 1;
  const AbstractValue start = count > 1 ? call.arg(0) : AbstractValue::of_int(0);
  const AbstractValue end = call.arg(count > 1 ? 1 : 0);
  const AbstractValue step = count > 2 ? call.arg(2) : AbstractValue::of_int(1);
  DType natural = DType::kInt64;
  for (const AbstractValue& number : {start, end, step})
    if (number.is(Kind::kFloat) ||
        (number.is(Kind::kTensor) &&
         is_floating(call.builder.type(call.builder.use(*number.cell)).dtype)))
      natural = DType::kFloat32;
  const DType dtype = call.dtype_argument(count, natural);
  if (start.is_known_number() && end.is_known_number() && step.is_known_number()) {
    const double wanted = std::ceil((end.number() - start.number()) / step.number());
    call.require(step.number() != 0 && wanted >= 0, "a range that never ends");
    const bool small = std::abs(start.number()) < 9e15 && std::abs(end.number()) < 9e15;
    if (small && wanted <= kMaxKnownElements &&
        (dtype == DType::kInt64 || dtype == DType::kFloat32)) {
      std::vector<int64_t> ints;
      std::vector<float> floats;
      for (int64_t i = 0; i < static_cast<int64_t>(wanted); ++i) {
        const double number = start.number() + static_cast<double>(i) * step.number();
        ints.push_back(static_cast<int64_t>(number));
        floats.push_back(static_cast<float>(number));
      }
      return {AbstractValue::of_tensor(dtype == DType::kInt64 ? Tensor::vector(ints)
                                                              : Tensor::vector(floats))};
    }
  }
  AtenCall numbers(call.builder, call.node, {start, end, step}, call.notes);
  const DType inner = is_floating(dtype) ? dtype : DType::kInt64;
  const ValueId first = numbers.scalar(0, inner);
  const ValueId last = numbers.scalar(1, inner);
  const ValueId range = call.emit(OpKind::kRange, {first, last, numbers.scalar(2, inner)});
  return call.one(call.cast(range, dtype));
}

Results linspace(AtenCall& call) {
  const double start = call.float_of(0);
  const double end = call.float_of(1);
  const int64_t steps = call.int_of(2);
  call.require(steps >= 0 && steps <= (int64_t{1} << 24), "too many steps");
  std::vector<float> numbers(static_cast<size_t>(steps));
  // PyTorch counts from both ends, so that the last number is exact.
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  for (int64_t i = 0; i < steps; ++i)
    numbers[static_cast<size_t>(i)] =
        static_cast<float>(i < steps / 2 ? start + step * static_cast<double>(i)
                                         : end - step * static_cast<double>(steps - 1 - i));
  if (steps == 1) numbers[0] = static_cast<float>(start);
  const ValueId made = call.constant_value(Tensor::vector(numbers));
  return call.one(call.cast(made, call.dtype_argument(3, DType::kFloat32)));
}

Results eye(AtenCall& call) {
  const int64_t rows = call.int_of(0);
  const bool square = call.node.overload != "m";
  const int64_t columns = square ? rows : call.int_of(1);
  call.require(rows >= 0 && columns >= 0 && rows <= 4096 && columns <= 4096, "too large");
  std::vector<float> numbers(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < std::min(rows, columns); ++i)
    numbers[static_cast<size_t>(i * columns + i)] = 1;
  const ValueId made = call.constant_value(Tensor::of<float>({rows, columns}, numbers));
  return call.one(call.cast(made, call.dtype_argument(square ? 1 : 2, DType::kFloat32)));
}

// torch.tensor(number, or nested lists of numbers).
struct Nested {
  Shape shape;
  std::vector<AbstractValue> numbers;
};

void collect(AtenCall& call, const AbstractValue& value, size_t depth, Nested& found) {
  if (!value.items) {
    call.require(value.is_number() || value.is(Kind::kTensor), "of something else than numbers");
    call.require(depth == found.shape.size(), "of lists of different depths");
    found.numbers.push_back(value);
    return;
  }
  const auto size = static_cast<int64_t>(value.items->items.size());
  call.require(depth < found.shape.size() && found.shape[depth] == size,
               "of lists of different lengths");
  for (const AbstractValue& item : value.items->items) collect(call, item, depth + 1, found);
}

Results tensor_of(AtenCall& call) {
  if (call.arg(0).is(Kind::kTensor)) {
    const ValueId same = call.tensor(0);
    return call.one(call.cast(same, call.dtype_argument(1, call.dtype_of(same))));
  }
  Nested nested;
  const AbstractValue* level = &call.arg(0);
  while (level->items) {
    nested.shape.push_back(static_cast<int64_t>(level->items->items.size()));
    if (level->items->items.empty()) break;
    level = &level->items->items[0];
  }
  collect(call, call.arg(0), 0, nested);
  DType natural = nested.numbers.empty() ? DType::kFloat32 : DType::kBool;
  bool known = true;
  for (const AbstractValue& number : nested.numbers) {
    known = known && number.is_known_number();
    if (number.is(Kind::kTensor)) {
      natural = call.builder.type(call.builder.use(*number.cell)).dtype;
      break;
    }
    if (number.is(Kind::kFloat)) natural = DType::kFloat32;
    if (number.is(Kind::kInt) && natural == DType::kBool) natural = DType::kInt64;
  }
  const DType dtype = call.dtype_argument(1, natural);
  if (known && dtype == DType::kInt64 && natural != DType::kFloat32) {
    std::vector<int64_t> ints;
    for (const AbstractValue& number : nested.numbers) ints.push_back(number.integer);
    return {AbstractValue::of_tensor(Tensor::of<int64_t>(nested.shape, ints))};
  }
  if (known) {
    std::vector<double> numbers;
    for (const AbstractValue& number : nested.numbers) numbers.push_back(number.number());
    if (dtype == DType::kFloat32)
      return {AbstractValue::of_tensor(
          Tensor::of<float>(nested.shape, std::vector<float>(numbers.begin(), numbers.end())))};
    return call.one(
        call.cast(call.constant_value(Tensor::of<double>(nested.shape, numbers)), dtype));
  }
  AtenCall numbers(call.builder, call.node, nested.numbers, call.notes);
  std::vector<ValueId> parts;
  for (size_t i = 0; i < nested.numbers.size(); ++i)
    parts.push_back(unsqueeze(call, numbers.scalar(i, dtype), {0}));
  return call.one(reshape(call, concat(call, std::move(parts), 0), nested.shape));
}

// to(device), to(dtype), to(other), …: where the dtype is, says the overload.
Results to(AtenCall& call) {
  const ValueId from = call.tensor(0);
  const DType before = call.dtype_of(from);
  const bool device_first = call.node.overload == "device" || call.node.overload == "prim_Device" ||
                            call.arg(1).is(Kind::kString);
  size_t copy_at = 3;
  DType dtype = before;
  if (call.arg(1).is(Kind::kTensor)) {
    dtype = call.dtype(1);
  } else if (call.node.overload == "dtype_layout") {
    dtype = call.dtype_argument(1, before);
    copy_at = 6;
  } else if (device_first) {
    dtype = call.dtype_argument(2, before);
    copy_at = 4;
  } else if (call.node.overload != "prim_other") {
    dtype = call.dtype_argument(1, before);
  }
  const bool copies = call.arg(copy_at).is(Kind::kBool) && call.bool_of(copy_at);
  if (dtype == before && !copies) return {call.arg(0)};
  return call.one(call.cast(from, dtype));
}

Results type_as(AtenCall& call) {
  const ValueId from = call.tensor(0);
  const DType dtype = call.dtype(1);
  if (dtype == call.dtype_of(from)) return {call.arg(0)};
  return call.one(call.cast(from, dtype));
}

// What self holds after self.copy_(argument): the argument at self's shape and type.
ValueId spread_over_self(AtenCall& call, ValueId content) {
  const ValueId self = call.tensor(0);
  content = call.cast(content, call.dtype_of(self));
  const auto wanted = known_shape(call, self);
  const auto given = known_shape(call, content);
  if (wanted && given && *wanted == *given) return content;
  return call.emit(OpKind::kExpand, {content, shape_of(call, self)});
}

Results copy_into(AtenCall& call) { return call.one(spread_over_self(call, call.tensor(1))); }

Results fill(AtenCall& call) {
  const DType dtype = call.dtype(0);
  return call.one(spread_over_self(call, call.scalar(1, dtype)));
}

Results zero(AtenCall& call) {
  const DType dtype = call.dtype(0);
  return call.one(spread_over_self(call, call.number_value(0, dtype)));
}

constexpr AtenRow kCreationOps[] = {
    {"zeros", sized<0>},
    {"ones", sized<1>},
    // Whatever memory held: zeros are as good.
    {"empty", sized<0>},
    {"full", full},
    {"zeros_like empty_like", sized_like<0>},
    {"ones_like", sized_like<1>},
    {"full_like", full_like},
    {"new_zeros new_empty", new_sized<0>},
    {"new_ones", new_sized<1>},
    {"new_full", new_full},
    {"arange", arange},
    {"linspace", linspace},
    {"eye", eye},
    {"tensor as_tensor", tensor_of},
    {"to", to},
    {"type_as", type_as},
    {"copy", copy_into},
    {"fill", fill},
    {"zero", zero},
};

}  // namespace

std::span<const AtenRow> creation_aten_ops() { return kCreationOps; }

}  // namespace lathe
