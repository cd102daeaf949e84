#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/error.h"
#include "torchscript/read/converter.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

const char* kind_text(const AbstractValue& value) {
  switch (value.kind) {
    case Kind::kNone: return "None";
    case Kind::kBool: return "a bool";
    case Kind::kInt: return "an int";
    case Kind::kFloat: return "a float";
    case Kind::kString: return "a string";
    case Kind::kTensor: return "a tensor";
    case Kind::kList: return "a list";
    case Kind::kTuple: return "a tuple";
    case Kind::kDict: return "a dict";
    case Kind::kPacked: return "packed parameters";
    case Kind::kObject: return "an object";
    case Kind::kUninitialized: return "an uninitialized value";
  }
  return "a value";
}

// By ATen's ScalarType number.
constexpr std::array kScalarTypes = {
    DType::kUInt8,     DType::kInt8,      DType::kInt16,     DType::kInt32,
    DType::kInt64,     DType::kFloat16,   DType::kFloat32,   DType::kFloat64,
    DType::kUndefined, DType::kUndefined, DType::kUndefined, DType::kBool,
    DType::kInt8,      DType::kUInt8,     DType::kInt32,     DType::kBFloat16};

}  // namespace

DType dtype_of_scalar_type(int64_t scalar_type) {
  if (scalar_type < 0 || scalar_type >= static_cast<int64_t>(kScalarTypes.size()))
    return DType::kUndefined;
  return kScalarTypes[static_cast<size_t>(scalar_type)];
}

int64_t scalar_type_of(DType dtype) {
  const auto* const found = std::ranges::find(kScalarTypes, dtype);
  return found == kScalarTypes.end() ? -1 : found - kScalarTypes.begin();
}

void AtenCall::refuse(const std::string& message) const {
  throw bad_input("torchscript.unsupported",
                  fmt::format("{}: {}", escape_untrusted(node.kind), message),
                  escape_untrusted(node.source, 400));
}

void AtenCall::note(const std::string& text) {
  std::string line = fmt::format("{}: {}", escape_untrusted(node.kind), text);
  if (!node.source.empty()) line += fmt::format(" ({})", escape_untrusted(node.source, 400));
  if (std::ranges::find(notes, line) == notes.end()) notes.push_back(std::move(line));
}

const AbstractValue& AtenCall::arg(size_t i) const {
  static const AbstractValue none;
  return i < inputs.size() ? inputs[i] : none;
}

ValueId AtenCall::tensor(size_t i) {
  const AbstractValue& value = arg(i);
  if (value.cell) {
    const ValueId id = builder.use(*value.cell);
    return value.is(Kind::kFloat) ? cast(id, DType::kFloat32) : id;
  }
  switch (value.kind) {
    case Kind::kBool: return constant_value(Tensor::scalar<bool>(value.integer != 0));
    case Kind::kInt: return int_value(value.integer);
    case Kind::kFloat: return number_value(value.real, DType::kFloat32);
    default: refuse(fmt::format("argument {} is {}, not a tensor", i, kind_text(value)));
  }
}

ValueId AtenCall::tensor_or_none(size_t i) { return is_none(i) ? ValueId{} : tensor(i); }

ValueId AtenCall::scalar(size_t i, DType wanted) {
  const AbstractValue& value = arg(i);
  if (value.is_known_number()) return number_value(value.number(), wanted);
  if (!value.cell) refuse(fmt::format("argument {} is {}, not a number", i, kind_text(value)));
  ValueId id = builder.use(*value.cell);
  if (const Dims* shape = dims_of(id); shape != nullptr && !shape->empty())
    id = emit(OpKind::kReshape, {id, ints_value({})});
  return cast(id, wanted);
}

const Tensor* AtenCall::constant(size_t i) const {
  const AbstractValue& value = arg(i);
  if (!value.is(Kind::kTensor)) return nullptr;
  if (value.cell->constant) return &*value.cell->constant;
  if (value.cell->scope != builder.scope()) return nullptr;
  return builder.graph().constant(value.cell->value);
}

const QuantParams* AtenCall::quantized(size_t i) const {
  const AbstractValue& value = arg(i);
  return value.is(Kind::kTensor) && value.cell->quantized ? &*value.cell->quantized : nullptr;
}

DType AtenCall::dtype(size_t i) {
  const AbstractValue& value = arg(i);
  if (value.cell && value.cell->constant) return value.cell->constant->dtype();
  return dtype_of(tensor(i));
}

const Dims* AtenCall::dims(size_t i) { return dims_of(tensor(i)); }

size_t AtenCall::rank(size_t i) { return rank_of(tensor(i)); }

std::optional<int64_t> AtenCall::known_int(size_t i) const {
  const AbstractValue& value = arg(i);
  if (value.is_known_number() && !value.is(Kind::kFloat)) return value.integer;
  if (const Tensor* tensor = constant(i); tensor != nullptr && tensor->numel() == 1)
    if (is_integer(tensor->dtype()) || tensor->dtype() == DType::kBool)
      return tensor->to_int64()[0];
  return std::nullopt;
}

int64_t AtenCall::int_of(size_t i) const {
  if (const auto known = known_int(i)) return *known;
  if (arg(i).cell)
    refuse(
        fmt::format("argument {} must be known before a run, but data or an unknown size "
                    "decides it",
                    i));
  refuse(fmt::format("argument {} is {}, not an int", i, kind_text(arg(i))));
}

int64_t AtenCall::int_or(size_t i, int64_t if_none) const {
  return is_none(i) ? if_none : int_of(i);
}

double AtenCall::float_of(size_t i) const {
  const AbstractValue& value = arg(i);
  if (value.is_known_number()) return value.number();
  if (const Tensor* tensor = constant(i); tensor != nullptr && tensor->numel() == 1)
    return tensor->to_double()[0];
  if (value.cell)
    refuse(fmt::format("argument {} must be known before a run, but data decides it", i));
  refuse(fmt::format("argument {} is {}, not a number", i, kind_text(value)));
}

double AtenCall::float_or(size_t i, double if_none) const {
  return is_none(i) ? if_none : float_of(i);
}

bool AtenCall::bool_of(size_t i) const { return int_of(i) != 0; }

bool AtenCall::bool_or(size_t i, bool if_none) const { return is_none(i) ? if_none : bool_of(i); }

const std::string& AtenCall::string_of(size_t i) const {
  if (!arg(i).is(Kind::kString))
    refuse(fmt::format("argument {} is {}, not a string", i, kind_text(arg(i))));
  return arg(i).text;
}

std::span<const AbstractValue> AtenCall::items(size_t i) const {
  if (!arg(i).items) refuse(fmt::format("argument {} is {}, not a list", i, kind_text(arg(i))));
  return arg(i).items->items;
}

std::optional<std::vector<int64_t>> AtenCall::known_ints(size_t i) const {
  if (const auto one = known_int(i)) return std::vector{*one};
  if (!arg(i).items) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const AbstractValue& item : items(i)) {
    if (!item.is_known_number() || item.is(Kind::kFloat)) return std::nullopt;
    numbers.push_back(item.integer);
  }
  return numbers;
}

std::vector<int64_t> AtenCall::ints(size_t i) const {
  if (auto known = known_ints(i)) return *known;
  if (!arg(i).items && !arg(i).cell)
    refuse(fmt::format("argument {} is {}, not a list of ints", i, kind_text(arg(i))));
  refuse(
      fmt::format("argument {} must be known before a run, but data or an unknown size decides "
                  "it",
                  i));
}

std::vector<int64_t> AtenCall::ints_of_size(size_t i, size_t count) const {
  std::vector<int64_t> numbers = ints(i);
  if (numbers.size() == 1) numbers.resize(count, numbers[0]);
  if (numbers.size() != count)
    refuse(fmt::format("argument {} has {} numbers, not {}", i, numbers.size(), count));
  return numbers;
}

std::vector<double> AtenCall::floats(size_t i) const {
  std::vector<double> numbers;
  if (arg(i).is_known_number()) return {arg(i).number()};
  for (const AbstractValue& item : items(i)) {
    if (!item.is_known_number()) refuse(fmt::format("argument {} must be known before a run", i));
    numbers.push_back(item.number());
  }
  return numbers;
}

ValueId AtenCall::shape_vector(size_t i) {
  if (const auto known = known_ints(i)) return ints_value(*known);
  if (!arg(i).items) {
    const ValueId one = scalar(i, DType::kInt64);
    return emit(OpKind::kUnsqueeze, {one, ints_value({0})});
  }
  // Runs of known numbers become one constant.
  std::vector<ValueId> parts;
  std::vector<int64_t> run;
  const auto flush = [&] {
    if (!run.empty()) parts.push_back(ints_value(run));
    run.clear();
  };
  for (const AbstractValue& item : items(i)) {
    if (item.is_known_number() && !item.is(Kind::kFloat)) {
      run.push_back(item.integer);
      continue;
    }
    if (!item.cell) refuse(fmt::format("argument {} holds {}", i, kind_text(item)));
    flush();
    const ValueId one = cast(builder.use(*item.cell), DType::kInt64);
    parts.push_back(emit(OpKind::kReshape, {one, ints_value({1})}));
  }
  flush();
  if (parts.size() == 1) return parts[0];
  Attributes attributes;
  attributes.set("axis", int64_t{0});
  return emit(OpKind::kConcat, std::move(parts), std::move(attributes));
}

std::vector<ValueId> AtenCall::tensors(size_t i) {
  std::vector<ValueId> values;
  for (const AbstractValue& item : items(i)) {
    if (!item.is(Kind::kTensor))
      refuse(fmt::format("argument {} holds {}, not only tensors", i, kind_text(item)));
    values.push_back(builder.use(*item.cell));
  }
  return values;
}

const TorchPackedParams& AtenCall::packed(size_t i) const {
  if (arg(i).packed == nullptr)
    refuse(fmt::format("argument {} is {}, not packed parameters", i, kind_text(arg(i))));
  return *arg(i).packed;
}

size_t AtenCall::normal_axis(int64_t axis, size_t rank) const {
  // A tensor of rank 0 has the axes -1 and 0 in PyTorch.
  const auto count = static_cast<int64_t>(std::max<size_t>(rank, 1));
  if (axis < -count || axis >= count)
    refuse(fmt::format("dimension {} of a tensor of {}", axis, rank));
  return static_cast<size_t>(axis < 0 ? axis + count : axis);
}

size_t AtenCall::axis(size_t i, size_t rank) const { return normal_axis(int_of(i), rank); }

DType AtenCall::dtype_argument(size_t i, DType if_none) const {
  if (is_none(i)) return if_none;
  const DType dtype = dtype_of_scalar_type(int_of(i));
  if (dtype == DType::kUndefined) refuse("complex or unknown dtype");
  return dtype;
}

ValueId AtenCall::emit(OpKind kind, std::vector<ValueId> operands, Attributes attributes) {
  return builder.emit(kind, std::move(operands), std::move(attributes));
}

std::vector<ValueId> AtenCall::emit_many(OpKind kind, std::vector<ValueId> operands, size_t count,
                                         Attributes attributes) {
  return builder.emit_many(kind, std::move(operands), count, std::move(attributes));
}

ValueId AtenCall::ints_value(const std::vector<int64_t>& numbers) {
  return constant_value(Tensor::vector<int64_t>(numbers));
}

ValueId AtenCall::int_value(int64_t number) {
  return constant_value(Tensor::scalar<int64_t>(number));
}

ValueId AtenCall::number_value(double number, DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return constant_value(Tensor::scalar(static_cast<float>(number)));
    case DType::kFloat64: return constant_value(Tensor::scalar(number));
    case DType::kBool: return constant_value(Tensor::scalar<bool>(number != 0));
    // Beyond 2^53 a double is no longer exact, and out of range the conversion is undefined.
    case DType::kInt64:
      if (!(number >= -9.2e18 && number <= 9.2e18)) refuse("a number does not fit into int64");
      return int_value(static_cast<int64_t>(number));
    default: return cast(constant_value(Tensor::scalar(number)), dtype);
  }
}

ValueId AtenCall::cast(ValueId value, DType dtype) {
  if (builder.type(value).dtype == dtype) return value;
  Attributes attributes;
  attributes.set("to", static_cast<int64_t>(dtype));
  return emit(OpKind::kCast, {value}, std::move(attributes));
}

const Dims* AtenCall::dims_of(ValueId value) const {
  const ValueType& type = builder.type(value);
  return type.dims ? &*type.dims : nullptr;
}

size_t AtenCall::rank_of(ValueId value) const {
  const Dims* shape = dims_of(value);
  if (shape == nullptr) refuse("the number of dimensions of its tensor is not known");
  return shape->size();
}

ValueId AtenCall::size_value(ValueId value, size_t axis) {
  if (const Dims* shape = dims_of(value); shape != nullptr && axis < shape->size())
    if ((*shape)[axis].known()) return int_value((*shape)[axis].size);
  const ValueId sizes = emit(OpKind::kShape, {value});
  return emit(OpKind::kGather, {sizes, int_value(static_cast<int64_t>(axis))});
}

AbstractValue AtenCall::size_number(ValueId value, size_t axis) {
  if (const Dims* shape = dims_of(value); shape != nullptr && axis < shape->size())
    if ((*shape)[axis].known()) return AbstractValue::of_int((*shape)[axis].size);
  return AbstractValue::of_value(builder.scope(), size_value(value, axis), Kind::kInt);
}

AbstractValue AtenCall::quantized_result(ValueId value, QuantParams params) const {
  AbstractValue made = result(value);
  made.cell->quantized = std::move(params);
  return made;
}

}  // namespace lathe
