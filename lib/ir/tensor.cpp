#include "ir/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "ir/error.h"

namespace lathe {
namespace {

template <class T, class Out>
void widen(const Tensor& tensor, std::vector<Out>& out) {
  for (const T value : tensor.values<T>()) out.push_back(static_cast<Out>(value));
}

template <class Out>
void unpack(const Tensor& tensor, std::vector<Out>& out) {
  const int bits = dtype_bits(tensor.dtype());
  const int per_byte = 8 / bits;
  const int mask = (1 << bits) - 1;
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    int value = std::to_integer<int>(tensor.bytes()[static_cast<size_t>(i / per_byte)]) >>
                    (i % per_byte * bits) &
                mask;
    if (is_signed_integer(tensor.dtype()) && value >> (bits - 1)) value -= 1 << bits;
    out.push_back(static_cast<Out>(value));
  }
}

// Appends the elements of every integer type; false for other types.
template <class Out>
bool widen_integers(const Tensor& tensor, std::vector<Out>& out) {
  switch (tensor.dtype()) {
    case DType::kUInt8: widen<uint8_t>(tensor, out); return true;
    case DType::kInt8: widen<int8_t>(tensor, out); return true;
    case DType::kUInt16: widen<uint16_t>(tensor, out); return true;
    case DType::kInt16: widen<int16_t>(tensor, out); return true;
    case DType::kUInt32: widen<uint32_t>(tensor, out); return true;
    case DType::kInt32: widen<int32_t>(tensor, out); return true;
    case DType::kUInt64: widen<uint64_t>(tensor, out); return true;
    case DType::kInt64: widen<int64_t>(tensor, out); return true;
    case DType::kBool: widen<bool>(tensor, out); return true;
    case DType::kUInt4:
    case DType::kInt4:
    case DType::kUInt2:
    case DType::kInt2: unpack(tensor, out); return true;
    default: return false;
  }
}

template <class Convert>
void widen_half(const Tensor& tensor, std::vector<double>& out, Convert convert) {
  const std::byte* data = tensor.bytes().data();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, data + 2 * i, 2);
    out.push_back(convert(bits));
  }
}

void check_size(DType dtype, const Shape& shape, size_t bytes) {
  const int64_t wanted = dtype_bytes(dtype, element_count(shape));
  if (wanted != static_cast<int64_t>(bytes))
    throw bad_input("tensor.size",
                    fmt::format("{} bytes of data for a {} tensor of shape {}, "
                                "which needs {}",
                                bytes, dtype_name(dtype), shape_text(shape), wanted));
}

size_t alignment_of(DType dtype) {
  const int bytes = dtype_bits(dtype) / 8;
  return bytes == 0 ? 1 : static_cast<size_t>(bytes > 8 ? 8 : bytes);
}

}  // namespace

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  bool overflow = false;
  for (const int64_t dim : shape) {
    if (dim < 0)
      throw bad_input("tensor.negative_dim",
                      "a tensor has a negative dimension: " + shape_text(shape));
    overflow |= __builtin_mul_overflow(count, dim, &count);
  }
  for (const int64_t dim : shape)
    if (dim == 0) return 0;
  if (overflow)
    throw bad_input("tensor.overflow", "the number of elements overflows: " + shape_text(shape));
  return count;
}

std::string shape_text(const Shape& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

Tensor Tensor::from_bytes(DType dtype, Shape shape, std::vector<std::byte> bytes) {
  auto held = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const std::span<const std::byte> view(*held);
  return from_owner(dtype, std::move(shape), std::move(held), view);
}

Tensor Tensor::from_owner(DType dtype, Shape shape, std::shared_ptr<const void> owner,
                          std::span<const std::byte> bytes) {
  if (dtype == DType::kString || dtype == DType::kUndefined)
    throw InternalError("a string or undefined tensor has no raw bytes");
  check_size(dtype, shape, bytes.size());
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment_of(dtype) != 0)
    return from_bytes(dtype, std::move(shape), {bytes.begin(), bytes.end()});
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.numel_ = element_count(shape);
  tensor.shape_ = std::move(shape);
  tensor.bytes_ = bytes;
  tensor.owner_ = std::move(owner);
  return tensor;
}

Tensor Tensor::from_strings(Shape shape, std::vector<std::string> strings) {
  Tensor tensor;
  tensor.dtype_ = DType::kString;
  tensor.numel_ = element_count(shape);
  if (tensor.numel_ != static_cast<int64_t>(strings.size()))
    throw bad_input("tensor.size", "a string tensor's data does not fit its shape");
  tensor.shape_ = std::move(shape);
  tensor.owner_ = std::make_shared<const std::vector<std::string>>(std::move(strings));
  return tensor;
}

const std::vector<std::string>& Tensor::strings() const {
  check_type(DType::kString);
  return *static_cast<const std::vector<std::string>*>(owner_.get());
}

void Tensor::check_type(DType wanted) const {
  if (dtype_ != wanted)
    throw InternalError(
        fmt::format("a {} tensor was read as {}", dtype_name(dtype_), dtype_name(wanted)));
}

std::vector<int64_t> Tensor::to_int64() const {
  std::vector<int64_t> out;
  out.reserve(static_cast<size_t>(numel_));
  if (!widen_integers(*this, out))
    throw bad_input("tensor.dtype",
                    fmt::format("integers are needed here, not {}", dtype_name(dtype_)));
  return out;
}

std::vector<double> Tensor::to_double() const {
  std::vector<double> out;
  out.reserve(static_cast<size_t>(numel_));
  if (widen_integers(*this, out)) return out;
  switch (dtype_) {
    case DType::kFloat32: widen<float>(*this, out); break;
    case DType::kFloat64: widen<double>(*this, out); break;
    case DType::kFloat16: widen_half(*this, out, half_to_float); break;
    case DType::kBFloat16: widen_half(*this, out, bfloat16_to_float); break;
    default:
      throw bad_input("tensor.dtype",
                      fmt::format("real numbers are needed here, not {}", dtype_name(dtype_)));
  }
  return out;
}

Tensor Tensor::reshaped(Shape shape) const {
  if (element_count(shape) != numel_) throw InternalError("reshaped: element counts differ");
  Tensor copy = *this;
  copy.shape_ = std::move(shape);
  return copy;
}

bool Tensor::identical(const Tensor& other) const {
  if (dtype_ != other.dtype_ || shape_ != other.shape_) return false;
  if (dtype_ == DType::kString) return strings() == other.strings();
  return bytes_.size() == other.bytes_.size() &&
         (bytes_.empty() || std::memcmp(bytes_.data(), other.bytes_.data(), bytes_.size()) == 0);
}

// GCC 12 knows one name on each processor.
#if defined(__aarch64__)
using Half = __fp16;
#else
using Half = _Float16;
#endif

float half_to_float(uint16_t bits) {
  Half half;
  std::memcpy(&half, &bits, 2);
  return static_cast<float>(half);
}

uint16_t float_to_half(float value) {
  const auto half = static_cast<Half>(value);
  uint16_t bits = 0;
  std::memcpy(&bits, &half, 2);
  return bits;
}

float bfloat16_to_float(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, 4);
  return value;
}

uint16_t float_to_bfloat16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace lathe
