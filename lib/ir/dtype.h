// Element types, numbered as in ONNX's TensorProto.DataType.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lathe {

enum class DType : uint8_t {
  kUndefined = 0,
  kFloat32 = 1,
  kUInt8 = 2,
  kInt8 = 3,
  kUInt16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUInt32 = 12,
  kUInt64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBFloat16 = 16,
  kFloat8E4M3FN = 17,
  kFloat8E4M3FNUZ = 18,
  kFloat8E5M2 = 19,
  kFloat8E5M2FNUZ = 20,
  kUInt4 = 21,
  kInt4 = 22,
  kFloat4E2M1 = 23,
  kFloat8E8M0 = 24,
  kUInt2 = 25,
  kInt2 = 26,
};

constexpr int kDTypeCount = 27;

/// ONNX's name in lower case as its text form writes it ("float", "float16", "int64", …).
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);
/// Bits of one element; 2 and 4 for the packed types; 0 for string and undefined.
int dtype_bits(DType dtype);
/// Bytes of `count` elements in ONNX's raw layout (packed types are rounded up to a whole byte).
/// Throws Error (exit 8) when it does not fit into 63 bits.
int64_t dtype_bytes(DType dtype, int64_t count);

/// float16, bfloat16, float32, float64 (not the 8-bit and 4-bit ones).
bool is_floating(DType dtype);
/// Any two's-complement or unsigned integer, the packed ones included; not bool.
bool is_integer(DType dtype);
bool is_signed_integer(DType dtype);
/// Smallest and largest value of an integer type of at most 32 bits.
int64_t integer_min(DType dtype);
int64_t integer_max(DType dtype);

}  // namespace lathe
