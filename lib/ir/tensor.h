// A tensor as files hold it: dtype, shape and shared immutable bytes in ONNX's raw layout
// (row-major, little-endian, 4-bit and 2-bit types packed from the low bits).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/dtype.h"

namespace lathe {

using Shape = std::vector<int64_t>;

/// Dimensions that a tensor may have, as in ATen.
constexpr int kMaxRank = 64;

/// Product of the dimensions. Throws Error (exit 3) for a negative dimension or an overflow.
int64_t element_count(const Shape& shape);
/// "1x3x224x224"; "scalar" for rank 0.
std::string shape_text(const Shape& shape);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUInt8;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::kInt8;
};
template <>
struct DTypeOf<uint16_t> {
  static constexpr DType value = DType::kUInt16;
};
template <>
struct DTypeOf<int16_t> {
  static constexpr DType value = DType::kInt16;
};
template <>
struct DTypeOf<uint32_t> {
  static constexpr DType value = DType::kUInt32;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<uint64_t> {
  static constexpr DType value = DType::kUInt64;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};

/// Cheap to copy: copies share the bytes, which never change.
class Tensor {
 public:
  /// Undefined: dtype kUndefined, no elements.
  Tensor() = default;

  /// Takes the bytes over. Throws Error (exit 3) when their number does not fit dtype and shape.
  static Tensor from_bytes(DType dtype, Shape shape, std::vector<std::byte> bytes);
  /// Refers to `bytes`, kept alive by `owner` (a mapped file region, another library's tensor).
  /// Copies when the address is not aligned to the element.
  static Tensor from_owner(DType dtype, Shape shape, std::shared_ptr<const void> owner,
                           std::span<const std::byte> bytes);
  static Tensor from_strings(Shape shape, std::vector<std::string> strings);

  /// For the C++ types of DTypeOf (bool included).
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    for (size_t i = 0; i < values.size(); ++i) {
      const T value = values[i];
      __builtin_memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
    }
    return from_bytes(DTypeOf<T>::value, std::move(shape), std::move(bytes));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, std::vector<T>{value});
  }
  template <class T>
  static Tensor vector(const std::vector<T>& values) {
    return of<T>({static_cast<int64_t>(values.size())}, values);
  }

  bool defined() const { return dtype_ != DType::kUndefined; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t numel() const { return numel_; }
  /// Empty for strings.
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }
  /// Throws InternalError unless the dtype is string.
  const std::vector<std::string>& strings() const;

  /// The elements as T. Throws InternalError when T is not the dtype's C++ type.
  template <class T>
  std::span<const T> values() const {
    check_type(DTypeOf<T>::value);
    return {reinterpret_cast<const T*>(bytes_.data()), static_cast<size_t>(numel_)};
  }
  /// Elements of any integer type or bool, widened. Throws Error (exit 3) for other dtypes.
  std::vector<int64_t> to_int64() const;
  /// Elements of any real type, the 8-bit and 4-bit floats excepted, as double.
  std::vector<double> to_double() const;

  /// The same bytes under another shape of as many elements.
  Tensor reshaped(Shape shape) const;
  /// dtype, shape and bytes are equal (bitwise: a NaN equals itself).
  bool identical(const Tensor& other) const;

 private:
  void check_type(DType wanted) const;

  DType dtype_ = DType::kUndefined;
  Shape shape_;
  int64_t numel_ = 0;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

/// IEEE half and bfloat16 bit patterns to float and back (round to nearest even).
float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);

}  // namespace lathe
