#include "torchscript/read/ops_forms.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// How far a type reaches: bool, integers, floats.
int category(DType dtype) {
  if (dtype == DType::kBool) return 0;
  return is_floating(dtype) ? 2 : 1;
}

// Both of one category, or the wider category's.
DType promote(DType a, DType b) {
  if (a == DType::kUndefined) return b;
  if (b == DType::kUndefined || a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (is_floating(a)) {
    if (a == DType::kFloat64 || b == DType::kFloat64) return DType::kFloat64;
    return DType::kFloat32;
  }
  // uint8 with a signed type of as many bits needs the next wider one.
  const DType wide = dtype_bits(a) >= dtype_bits(b) ? a : b;
  const DType narrow = wide == a ? b : a;
  if (dtype_bits(wide) == dtype_bits(narrow) && is_signed_integer(a) != is_signed_integer(b))
    return DType::kInt16;
  return wide;
}

// Result type so far of one priority class each: tensors, tensors of rank 0, numbers.
struct Promotion {
  DType dimensioned = DType::kUndefined;
  DType rank_zero = DType::kUndefined;
  DType number = DType::kUndefined;

  void add(AtenCall& call, const AbstractValue& value, size_t i) {
    switch (value.kind) {
      case Kind::kNone: return;
      case Kind::kBool: number = promote(number, DType::kBool); return;
      case Kind::kInt: number = promote(number, DType::kInt64); return;
      case Kind::kFloat: number = promote(number, DType::kFloat32); return;
      case Kind::kTensor: break;
      default: call.tensor(i); return;  // refuses
    }
    const ValueId id = call.builder.use(*value.cell);
    const Dims* shape = call.dims_of(id);
    DType& into = shape != nullptr && shape->empty() ? rank_zero : dimensioned;
    into = promote(into, call.dtype_of(id));
  }

  DType result() const {
    const auto combine = [](DType higher, DType lower) {
      if (higher == DType::kUndefined) return lower;
      if (lower == DType::kUndefined || category(higher) >= category(lower)) return higher;
      return lower;
    };
    return combine(dimensioned, combine(rank_zero, number));
  }
};

Tensor swapped(const Tensor& tensor, size_t element_bytes) {
  Shape shape = tensor.shape();
  const int64_t rows = shape[shape.size() - 2];
  const int64_t columns = shape.back();
  std::swap(shape[shape.size() - 2], shape.back());
  const auto source = tensor.bytes();
  std::vector<std::byte> bytes(source.size());
  const int64_t planes = rows * columns == 0 ? 0 : tensor.numel() / (rows * columns);
  for (int64_t p = 0; p < planes; ++p)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) {
        const auto from = static_cast<size_t>((p * rows + r) * columns + c) * element_bytes;
        const auto to = static_cast<size_t>((p * columns + c) * rows + r) * element_bytes;
        std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from), element_bytes,
                    bytes.begin() + static_cast<std::ptrdiff_t>(to));
      }
  return Tensor::from_bytes(tensor.dtype(), std::move(shape), std::move(bytes));
}

Tensor zero_point_tensor(AtenCall& call, int64_t zero_point, DType dtype) {
  switch (dtype) {
    case DType::kUInt8: return Tensor::scalar(static_cast<uint8_t>(zero_point));
    case DType::kInt8: return Tensor::scalar(static_cast<int8_t>(zero_point));
    default: call.refuse("activations quantized to other types than quint8 and qint8");
  }
}

}  // namespace

Attributes attributes_of(std::initializer_list<std::pair<std::string, Attribute>> list) {
  Attributes attributes;
  for (const auto& [name, value] : list) attributes.set(name, value);
  return attributes;
}

ValueId reshape(AtenCall& call, ValueId value, const std::vector<int64_t>& shape) {
  return call.emit(OpKind::kReshape, {value, call.ints_value(shape)});
}

ValueId number_vector(AtenCall& call, const AbstractValue& number) {
  if (number.is_known_number()) return call.ints_value({number.integer});
  if (!number.cell) call.refuse("a size is not a number");
  const ValueId one = call.cast(call.builder.use(*number.cell), DType::kInt64);
  return reshape(call, one, {1});
}

ValueId sizes_vector(AtenCall& call, std::span<const AbstractValue> sizes) {
  std::vector<ValueId> parts;
  std::vector<int64_t> run;
  for (const AbstractValue& size : sizes) {
    if (size.is_known_number()) {
      run.push_back(size.integer);
      continue;
    }
    if (!run.empty()) parts.push_back(call.ints_value(run));
    run.clear();
    parts.push_back(number_vector(call, size));
  }
  if (!run.empty() || parts.empty()) parts.push_back(call.ints_value(run));
  return concat(call, std::move(parts), 0);
}

ValueId unsqueeze(AtenCall& call, ValueId value, const std::vector<int64_t>& axes) {
  if (axes.empty()) return value;
  return call.emit(OpKind::kUnsqueeze, {value, call.ints_value(axes)});
}

ValueId squeeze(AtenCall& call, ValueId value, const std::vector<int64_t>& axes) {
  if (axes.empty()) return value;
  return call.emit(OpKind::kSqueeze, {value, call.ints_value(axes)});
}

ValueId transpose(AtenCall& call, ValueId value, const std::vector<int64_t>& order) {
  return call.emit(OpKind::kTranspose, {value}, attributes_of({{"perm", order}}));
}

ValueId swap_last_two(AtenCall& call, ValueId value) {
  if (const Tensor* constant = call.builder.graph().constant(value);
      constant != nullptr && constant->rank() >= 2 && dtype_bits(constant->dtype()) >= 8)
    return call.constant_value(
        swapped(*constant, static_cast<size_t>(dtype_bits(constant->dtype())) / 8));
  std::vector<int64_t> order = all_axes(call.rank_of(value));
  if (order.size() < 2) call.refuse("a matrix of fewer than two dimensions");
  std::swap(order[order.size() - 2], order.back());
  return transpose(call, value, order);
}

ValueId slice(AtenCall& call, ValueId value, int64_t axis, int64_t start, int64_t end,
              int64_t step) {
  return call.emit(OpKind::kSlice, {value, call.ints_value({start}), call.ints_value({end}),
                                    call.ints_value({axis}), call.ints_value({step})});
}

ValueId concat(AtenCall& call, std::vector<ValueId> values, int64_t axis) {
  if (values.size() == 1) return values[0];
  return call.emit(OpKind::kConcat, std::move(values), attributes_of({{"axis", axis}}));
}

std::vector<ValueId> split(AtenCall& call, ValueId value, int64_t axis,
                           const std::vector<int64_t>& sizes) {
  if (sizes.size() == 1) return {value};
  return call.emit_many(OpKind::kSplit, {value, call.ints_value(sizes)}, sizes.size(),
                        attributes_of({{"axis", axis}}));
}

ValueId reduce(AtenCall& call, OpKind kind, ValueId value, const std::vector<int64_t>& axes,
               bool keep_dims) {
  const Attributes attributes = attributes_of({{"keepdims", int64_t{keep_dims}}});
  if (axes.empty()) return call.emit(kind, {value}, attributes);
  return call.emit(kind, {value, call.ints_value(axes)}, attributes);
}

ValueId shape_of(AtenCall& call, ValueId value) {
  if (const auto shape = known_shape(call, value)) return call.ints_value(*shape);
  return call.emit(OpKind::kShape, {value});
}

ValueId binary(AtenCall& call, OpKind kind, ValueId a, ValueId b) {
  return call.emit(kind, {a, b});
}

ValueId binary(AtenCall& call, OpKind kind, ValueId a, double b) {
  return call.emit(kind, {a, call.number_value(b, call.dtype_of(a))});
}

std::optional<Shape> known_shape(AtenCall& call, ValueId value) {
  const Dims* dims = call.dims_of(value);
  return dims == nullptr ? std::nullopt : static_shape(*dims);
}

std::optional<int64_t> known_size(AtenCall& call, ValueId value, size_t axis) {
  const Dims* dims = call.dims_of(value);
  if (dims == nullptr || axis >= dims->size() || !(*dims)[axis].known()) return std::nullopt;
  return (*dims)[axis].size;
}

ValueId filled_vector(AtenCall& call, DType dtype, int64_t count, double number) {
  constexpr int64_t kMostChannels = int64_t{1} << 24;
  if (count < 0 || count > kMostChannels) call.refuse("too many channels");
  const std::vector<double> numbers(static_cast<size_t>(count), number);
  if (dtype == DType::kFloat32) {
    const std::vector<float> floats(numbers.begin(), numbers.end());
    return call.constant_value(Tensor::vector(floats));
  }
  return call.cast(call.constant_value(Tensor::vector(numbers)), dtype);
}

std::vector<int64_t> all_axes(size_t rank) {
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return axes;
}

std::vector<int64_t> axes_argument(AtenCall& call, size_t i, size_t rank) {
  if (call.is_none(i)) return {};
  std::vector<int64_t> axes;
  for (const int64_t axis : call.ints(i))
    axes.push_back(static_cast<int64_t>(call.normal_axis(axis, rank)));
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    call.refuse("a dimension is named twice");
  return axes;
}

DType promoted_type(AtenCall& call, std::initializer_list<size_t> arguments) {
  Promotion promotion;
  for (const size_t i : arguments) promotion.add(call, call.arg(i), i);
  return promotion.result();
}

DType promoted_type(AtenCall& call, std::span<const AbstractValue> tensors) {
  Promotion promotion;
  for (const AbstractValue& value : tensors) promotion.add(call, value, 0);
  return promotion.result();
}

ValueId operand(AtenCall& call, size_t i, DType dtype) {
  if (call.arg(i).is_number()) return call.scalar(i, dtype);
  return call.cast(call.tensor(i), dtype);
}

DType floating_type(DType dtype) { return is_floating(dtype) ? dtype : DType::kFloat32; }

ValueId floating(AtenCall& call, size_t i) {
  return operand(call, i, floating_type(call.dtype(i)));
}

QuantParams tensor_params(AtenCall& call, double scale, int64_t zero_point, DType dtype) {
  if (dtype != DType::kUInt8 && dtype != DType::kInt8)
    call.refuse("activations quantized to other types than quint8 and qint8");
  if (!(scale > 0) || !std::isfinite(static_cast<float>(scale)) || static_cast<float>(scale) == 0)
    call.refuse("a scale is not a positive number");
  if (zero_point < integer_min(dtype) || zero_point > integer_max(dtype))
    call.refuse("a zero point is out of its type's range");
  QuantParams params;
  params.dtype = dtype;
  params.scales = {static_cast<float>(scale)};
  params.zero_points = {static_cast<int32_t>(zero_point)};
  return params;
}

ValueId requantize(AtenCall& call, ValueId value, const QuantParams& params) {
  call.require(params.scales.size() == 1 && params.zero_points.size() == 1 && params.axis < 0,
               "the result would be quantized per channel");
  const ValueId scale = call.constant_value(Tensor::scalar(params.scales[0]));
  const ValueId zero =
      call.constant_value(zero_point_tensor(call, params.zero_points[0], params.dtype));
  const ValueId integers = call.emit(OpKind::kQuantizeLinear, {value, scale, zero});
  return call.emit(OpKind::kDequantizeLinear, {integers, scale, zero});
}

AbstractValue on_grid(AtenCall& call, ValueId value, const QuantParams& params) {
  return call.quantized_result(requantize(call, value, params), params);
}

std::vector<AbstractValue> keep_grid(AtenCall& call, std::vector<AbstractValue> results) {
  if (call.quantized(0) == nullptr) return results;
  const QuantParams params = *call.quantized(0);
  const auto mark = [&](AbstractValue& result) {
    if (!result.is(Kind::kTensor) || result.cell == call.arg(0).cell) return;
    const ValueId value = call.builder.use(*result.cell);
    if (is_floating(call.dtype_of(value))) result = on_grid(call, value, params);
  };
  for (AbstractValue& result : results) {
    mark(result);
    if (result.is(Kind::kList))
      for (AbstractValue& item : result.items->items) mark(item);
  }
  return results;
}

}  // namespace lathe
