#include "calibration/model_input.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "ir/error.h"

namespace lathe {
namespace {

Error does_not_fit(DType dtype, const std::string& value, const std::string& where) {
  return bad_input("data.range",
                   fmt::format("the value {} does not fit {}", value, dtype_name(dtype)), where);
}

template <class T, class Convert>
Tensor packed(DType dtype, Shape shape, size_t count, Convert convert) {
  std::vector<std::byte> bytes(count * sizeof(T));
  for (size_t i = 0; i < count; ++i) {
    const T value = convert(i);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return Tensor::from_bytes(dtype, std::move(shape), std::move(bytes));
}

// Integers of one type from numbers that may be out of range (Value is double or int64_t).
template <class T, class Value>
Tensor integers(DType dtype, Shape shape, const std::vector<Value>& values,
                const std::string& where) {
  constexpr auto low = std::numeric_limits<T>::min();
  return packed<T>(dtype, std::move(shape), values.size(), [&](size_t i) {
    if constexpr (std::is_same_v<Value, double>) {
      const double value = std::nearbyint(values[i]);
      // 2^digits is exact in double, max() of 64-bit types is not.
      if (!(value >= static_cast<double>(low)) ||
          value >= std::ldexp(1.0, std::numeric_limits<T>::digits))
        throw does_not_fit(dtype, fmt::format("{}", values[i]), where);
      return static_cast<T>(value);
    } else {
      if (!std::in_range<T>(values[i]))
        throw does_not_fit(dtype, fmt::format("{}", values[i]), where);
      return static_cast<T>(values[i]);
    }
  });
}

template <class Value>
Tensor integers_of(DType dtype, Shape shape, const std::vector<Value>& values,
                   const std::string& where) {
  switch (dtype) {
    case DType::kUInt8: return integers<uint8_t>(dtype, std::move(shape), values, where);
    case DType::kInt8: return integers<int8_t>(dtype, std::move(shape), values, where);
    case DType::kUInt16: return integers<uint16_t>(dtype, std::move(shape), values, where);
    case DType::kInt16: return integers<int16_t>(dtype, std::move(shape), values, where);
    case DType::kUInt32: return integers<uint32_t>(dtype, std::move(shape), values, where);
    case DType::kInt32: return integers<int32_t>(dtype, std::move(shape), values, where);
    case DType::kUInt64: return integers<uint64_t>(dtype, std::move(shape), values, where);
    case DType::kInt64: return integers<int64_t>(dtype, std::move(shape), values, where);
    case DType::kBool:
      return packed<uint8_t>(dtype, std::move(shape), values.size(),
                             [&](size_t i) { return static_cast<uint8_t>(values[i] != 0); });
    default:
      throw bad_input("data.dtype",
                      fmt::format("inputs of type {} cannot be fed", dtype_name(dtype)), where);
  }
}

template <class T>
bool all_finite(const Tensor& tensor) {
  for (const T value : tensor.values<T>())
    if (!std::isfinite(value)) return false;
  return true;
}

bool all_finite_16(const Tensor& tensor, uint16_t exponent) {
  for (size_t i = 0; i < static_cast<size_t>(tensor.numel()); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, tensor.bytes().data() + 2 * i, 2);
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

bool fits(const Shape& shape, const Dims& dims) {
  if (shape.size() != dims.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (dims[i].known() && dims[i].size != shape[i]) return false;
  return true;
}

void check_fits(const Shape& shape, const ModelInput& input, const std::string& where) {
  if (!fits(shape, input.dims))
    throw bad_input(
        "data.shape",
        fmt::format("the data give {}, the model's input {} wants {}", shape_text(shape),
                    escape_untrusted(input.name), dims_text(input.dims)),
        where, "a data spec can say layout, resize, center_crop, window or columns");
}

Shape shape_with_ones(const Dims& dims) {
  Shape shape;
  for (const Dim& dim : dims) shape.push_back(dim.known() ? dim.size : 1);
  return shape;
}

void check_finite(const Tensor& tensor, const std::string& where) {
  bool finite = true;
  switch (tensor.dtype()) {
    case DType::kFloat32: finite = all_finite<float>(tensor); break;
    case DType::kFloat64: finite = all_finite<double>(tensor); break;
    case DType::kFloat16: finite = all_finite_16(tensor, 0x7c00); break;
    case DType::kBFloat16: finite = all_finite_16(tensor, 0x7f80); break;
    default: break;
  }
  if (!finite)
    throw bad_input("data.non_finite", "the data hold NaN or infinity", where,
                    "mend or leave out that sample");
}

Tensor tensor_from_doubles(DType dtype, Shape shape, const std::vector<double>& values,
                           const std::string& where) {
  const auto as_float = [&](size_t i) { return static_cast<float>(values[i]); };
  switch (dtype) {
    case DType::kFloat32: return packed<float>(dtype, std::move(shape), values.size(), as_float);
    case DType::kFloat64: return Tensor::of<double>(std::move(shape), values);
    case DType::kFloat16:
      return packed<uint16_t>(dtype, std::move(shape), values.size(),
                              [&](size_t i) { return float_to_half(as_float(i)); });
    case DType::kBFloat16:
      return packed<uint16_t>(dtype, std::move(shape), values.size(),
                              [&](size_t i) { return float_to_bfloat16(as_float(i)); });
    default: return integers_of(dtype, std::move(shape), values, where);
  }
}

Tensor convert_dtype(const Tensor& tensor, DType dtype, const std::string& where) {
  if (tensor.dtype() == dtype) return tensor;
  if (is_integer(tensor.dtype()) && is_integer(dtype) && tensor.dtype() != DType::kUInt64)
    return integers_of(dtype, tensor.shape(), tensor.to_int64(), where);
  return tensor_from_doubles(dtype, tensor.shape(), tensor.to_double(), where);
}

}  // namespace lathe
