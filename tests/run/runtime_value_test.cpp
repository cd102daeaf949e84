#include "run/runtime_value.h"

#include <ATen/ATen.h>

#include <cmath>
#include <random>

#include "evaluate/small_floats.h"
#include "ir/error.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

constexpr DType kAll[] = {
    DType::kFloat32,      DType::kUInt8,          DType::kInt8,       DType::kUInt16,
    DType::kInt16,        DType::kInt32,          DType::kInt64,      DType::kFloat16,
    DType::kFloat64,      DType::kUInt32,         DType::kUInt64,     DType::kComplex64,
    DType::kComplex128,   DType::kBFloat16,       DType::kUInt4,      DType::kInt4,
    DType::kUInt2,        DType::kInt2,           DType::kBool,       DType::kFloat4E2M1,
    DType::kFloat8E4M3FN, DType::kFloat8E4M3FNUZ, DType::kFloat8E5M2, DType::kFloat8E5M2FNUZ,
    DType::kFloat8E8M0};

// Random bits; padding bits behind the last packed element are zero, as in a file.
Tensor random_tensor(DType dtype, const Shape& shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  const int64_t count = element_count(shape);
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype, count)));
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>(random() & (dtype == DType::kBool ? 1 : 0xff));
  const int64_t used = count * dtype_bits(dtype) % 8;
  if (used != 0) bytes.back() &= static_cast<std::byte>((1 << used) - 1);
  return Tensor::from_bytes(dtype, shape, bytes);
}

}  // namespace

TEST_CASE("every dtype comes back bit by bit") {
  for (const DType dtype : kAll) {
    if (is_small_float(dtype)) continue;  // NaN has several codes; see below
    for (const Shape& shape :
         {Shape{37}, Shape{3, 5}, Shape{1}, Shape{}, Shape{0, 4}, Shape{2, 2}}) {
      CAPTURE(dtype_name(dtype));
      CAPTURE(shape_text(shape));
      const Tensor tensor = random_tensor(dtype, shape, 7);
      const RuntimeValue value = to_runtime(tensor);
      CHECK(value.dtype == dtype);
      CHECK(value.tensor->sizes().vec() == shape);
      CHECK(to_tensor(value).identical(tensor));
    }
  }
}

TEST_CASE("every code of the small floats comes back") {
  for (const DType dtype : kAll) {
    if (!is_small_float(dtype)) continue;
    CAPTURE(dtype_name(dtype));
    const bool packed = dtype_bits(dtype) == 4;
    std::vector<std::byte> bytes;
    if (packed) {
      for (int code = 0; code < 16; code += 2)
        bytes.push_back(static_cast<std::byte>(code | (code + 1) << 4));
    } else {
      for (int code = 0; code < 256; ++code) bytes.push_back(static_cast<std::byte>(code));
    }
    const Tensor tensor = Tensor::from_bytes(dtype, {packed ? 16 : 256}, bytes);
    const RuntimeValue value = to_runtime(tensor);
    REQUIRE((value.tensor->scalar_type() == at::kFloat));
    const float* decoded = value.tensor->data_ptr<float>();
    const Tensor back = to_tensor(value);
    for (int code = 0; code < (packed ? 16 : 256); ++code) {
      CAPTURE(code);
      const int got = packed ? std::to_integer<int>(back.bytes()[static_cast<size_t>(code / 2)]) >>
                                       (code % 2 * 4) &
                                   15
                             : std::to_integer<int>(back.bytes()[static_cast<size_t>(code)]);
      if (std::isnan(decoded[code]))
        CHECK(std::isnan(decode_small_float(dtype, static_cast<uint8_t>(got))));
      else if (!std::isinf(decoded[code]))
        CHECK(got == code);
    }
  }
}

TEST_CASE("packed elements have ONNX's order and sign") {
  const Tensor tensor = Tensor::from_bytes(DType::kInt4, {3}, {std::byte{0x8f}, std::byte{0x07}});
  const at::Tensor held = to_runtime(tensor).tensor;
  CHECK((held.scalar_type() == at::kChar));
  CHECK(held[0].item<int>() == -1);
  CHECK(held[1].item<int>() == -8);
  CHECK(held[2].item<int>() == 7);
  const Tensor wide = Tensor::vector<uint32_t>({0xffffffffu, 1});
  CHECK((*to_runtime(wide).tensor)[0].item<int64_t>() == 0xffffffff);
}

TEST_CASE("bytes are shared and outlive the tensor they came from") {
  RuntimeValue value;
  {
    const Tensor tensor = Tensor::vector<float>({1, 2, 3});
    value = to_runtime(tensor);
    CHECK(value.tensor->data_ptr() == static_cast<const void*>(tensor.bytes().data()));
  }
  CHECK(value.tensor->sum().item<float>() == 6);
}

TEST_CASE("a strided tensor is copied in row-major order") {
  const RuntimeValue value(at::tensor(std::vector<float>{1, 2, 3, 4, 5, 6}).reshape({2, 3}).t(),
                           DType::kFloat32);
  const Tensor tensor = to_tensor(value);
  CHECK(tensor.shape() == Shape{3, 2});
  CHECK(tensor.to_double() == std::vector<double>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("strings are kept, and are no tensor of numbers") {
  const Tensor strings = Tensor::from_strings({2, 1}, {"a", ""});
  const RuntimeValue value = to_runtime(strings);
  CHECK_FALSE(value.is_tensor());
  CHECK(value.dtype == DType::kString);
  CHECK(to_tensor(value).identical(strings));
}

TEST_CASE("sequences and absent values are no tensors") {
  CHECK_THROWS_AS(to_tensor(RuntimeValue::sequence_of({})), Error);
  CHECK_THROWS_AS(to_tensor(RuntimeValue()), Error);
}

}  // namespace lathe
