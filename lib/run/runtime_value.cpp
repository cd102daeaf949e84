#include "run/runtime_value.h"

#include <algorithm>
#include <cstring>

#include "evaluate/evaluate.h"
#include "evaluate/small_floats.h"
#include "ir/error.h"

namespace lathe {
namespace {

// The types whose raw bytes are what ATen holds.
bool shares_layout(DType dtype) {
  using enum DType;
  constexpr DType kSameLayout[] = {kFloat32, kFloat64,   kFloat16,   kBFloat16, kUInt8,
                                   kInt8,    kInt16,     kInt32,     kInt64,    kUInt64,
                                   kBool,    kComplex64, kComplex128};
  return std::ranges::find(kSameLayout, dtype) != std::end(kSameLayout);
}

int code_at(const Tensor& tensor, int64_t index) {
  const int bits = dtype_bits(tensor.dtype());
  const int per_byte = 8 / bits;
  const int byte = std::to_integer<int>(tensor.bytes()[static_cast<size_t>(index / per_byte)]);
  return byte >> (index % per_byte * bits) & ((1 << bits) - 1);
}

}  // namespace

RuntimeValue RuntimeValue::sequence_of(std::vector<RuntimeValue> elements) {
  RuntimeValue value;
  value.kind = Kind::kSequence;
  value.sequence = std::make_shared<const std::vector<RuntimeValue>>(std::move(elements));
  return value;
}

RuntimeValue to_runtime(const Tensor& tensor) {
  const DType dtype = tensor.dtype();
  if (dtype == DType::kString) {
    RuntimeValue value;
    value.kind = RuntimeValue::Kind::kStrings;
    value.dtype = dtype;
    value.strings = tensor;
    return value;
  }
  if (shares_layout(dtype)) {
    // ATen asks for a mutable pointer; nothing in lathe writes through it.
    void* data = const_cast<std::byte*>(tensor.bytes().data());
    const auto options = at::TensorOptions().dtype(storage_type(dtype));
    if (tensor.numel() == 0) return {at::empty(tensor.shape(), options), dtype};
    return {at::from_blob(
                data, tensor.shape(), [held = tensor.owner()](void*) {}, options),
            dtype};
  }
  if (is_small_float(dtype)) {
    at::Tensor wide = at::empty(tensor.shape(), at::kFloat);
    float* out = wide.data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i)
      out[i] = decode_small_float(dtype, static_cast<uint8_t>(code_at(tensor, i)));
    return {wide, dtype};
  }
  const std::vector<int64_t> values = tensor.to_int64();
  return {at::tensor(values, at::kLong).reshape(tensor.shape()).to(storage_type(dtype)), dtype};
}

Tensor to_tensor(const RuntimeValue& value) {
  if (value.kind == RuntimeValue::Kind::kStrings) return value.strings;
  if (!value.is_tensor())
    throw bad_input("run.not_a_tensor", "a sequence or empty optional was asked for as a tensor");
  const at::Tensor contiguous = value.tensor->contiguous();
  const Shape shape = contiguous.sizes().vec();
  const int64_t count = contiguous.numel();
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(value.dtype, count)));
  if (shares_layout(value.dtype)) {
    if (!bytes.empty()) std::memcpy(bytes.data(), contiguous.data_ptr(), bytes.size());
    return Tensor::from_bytes(value.dtype, shape, std::move(bytes));
  }
  const int bits = dtype_bits(value.dtype);
  const auto put = [&](int64_t i, uint64_t code) {
    if (bits >= 8) {
      std::memcpy(bytes.data() + i * bits / 8, &code, static_cast<size_t>(bits / 8));
    } else {
      const int per_byte = 8 / bits;
      bytes[static_cast<size_t>(i / per_byte)] |=
          static_cast<std::byte>((code & ((1u << bits) - 1)) << (i % per_byte * bits));
    }
  };
  if (is_small_float(value.dtype)) {
    const at::Tensor floats = contiguous.to(at::kFloat);
    for (int64_t i = 0; i < count; ++i)
      put(i, encode_small_float(value.dtype, floats.data_ptr<float>()[i], true));
  } else {
    const at::Tensor wide = contiguous.to(at::kLong);
    for (int64_t i = 0; i < count; ++i) put(i, static_cast<uint64_t>(wide.data_ptr<int64_t>()[i]));
  }
  return Tensor::from_bytes(value.dtype, shape, std::move(bytes));
}

}  // namespace lathe
