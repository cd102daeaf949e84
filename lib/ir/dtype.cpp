#include "ir/dtype.h"

#include <array>

#include "ir/error.h"

namespace lathe {
namespace {

struct Row {
  std::string_view name;
  int bits;
};

constexpr std::array<Row, kDTypeCount> kRows{{
    {"undefined", 0},      {"float", 32},       {"uint8", 8},          {"int8", 8},
    {"uint16", 16},        {"int16", 16},       {"int32", 32},         {"int64", 64},
    {"string", 0},         {"bool", 8},         {"float16", 16},       {"double", 64},
    {"uint32", 32},        {"uint64", 64},      {"complex64", 64},     {"complex128", 128},
    {"bfloat16", 16},      {"float8e4m3fn", 8}, {"float8e4m3fnuz", 8}, {"float8e5m2", 8},
    {"float8e5m2fnuz", 8}, {"uint4", 4},        {"int4", 4},           {"float4e2m1", 4},
    {"float8e8m0", 8},     {"uint2", 2},        {"int2", 2},
}};

const Row& row(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  if (index >= kRows.size()) throw InternalError("dtype out of range");
  return kRows[index];
}

}  // namespace

std::string_view dtype_name(DType dtype) { return row(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "float64") return DType::kFloat64;
  for (size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

int dtype_bits(DType dtype) { return row(dtype).bits; }

int64_t dtype_bytes(DType dtype, int64_t count) {
  int64_t bits = 0;
  if (__builtin_mul_overflow(count, static_cast<int64_t>(dtype_bits(dtype)), &bits) ||
      bits > INT64_MAX - 7)
    throw over_limit("tensor.too_large", "a tensor's size in bytes does not fit into 63 bits");
  return (bits + 7) / 8;
}

bool is_floating(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kFloat64 ||
         dtype == DType::kBFloat16;
}

bool is_signed_integer(DType dtype) {
  return dtype == DType::kInt8 || dtype == DType::kInt16 || dtype == DType::kInt32 ||
         dtype == DType::kInt64 || dtype == DType::kInt4 || dtype == DType::kInt2;
}

bool is_integer(DType dtype) {
  return is_signed_integer(dtype) || dtype == DType::kUInt8 || dtype == DType::kUInt16 ||
         dtype == DType::kUInt32 || dtype == DType::kUInt64 || dtype == DType::kUInt4 ||
         dtype == DType::kUInt2;
}

int64_t integer_min(DType dtype) {
  return is_signed_integer(dtype) ? -(int64_t{1} << (dtype_bits(dtype) - 1)) : 0;
}

int64_t integer_max(DType dtype) {
  if (!is_integer(dtype) || dtype == DType::kUInt64)
    throw InternalError("integer_max of a type without a 63-bit maximum");
  const int bits = dtype_bits(dtype);
  if (dtype == DType::kInt64) return INT64_MAX;
  return (int64_t{1} << (is_signed_integer(dtype) ? bits - 1 : bits)) - 1;
}

}  // namespace lathe
