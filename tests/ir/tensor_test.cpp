#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "ir/error.h"
#include "ir/tensor.h"

namespace lathe {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

uint32_t bits_of(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  return bits;
}

float float_of(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Section 3.4 of IEEE 754: value of a binary16 pattern, by arithmetic.
double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                           : exponent == 31 ? std::numeric_limits<double>::infinity()
                                            : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST_CASE("every half pattern has its IEEE value and comes back") {
  int wrong = 0;
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = half_to_float(bits);
    const bool nan = (bits >> 10 & 31) == 31 && (bits & 1023) != 0;
    if (nan) {
      wrong += !std::isnan(value) || !std::isnan(half_to_float(float_to_half(value)));
      continue;
    }
    wrong += value != half_value(bits);
    wrong += std::signbit(value) != ((bits & 0x8000) != 0);
    wrong += float_to_half(value) != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("floats round to the nearest half, ties to even") {
  int wrong = 0;
  for (uint32_t i = 0; i < 0x7bff; ++i) {
    const auto low = static_cast<uint16_t>(i);
    const auto high = static_cast<uint16_t>(i + 1);
    const auto middle = static_cast<float>((half_value(low) + half_value(high)) / 2);
    wrong += float_to_half(middle) != (low % 2 == 0 ? low : high);
    wrong += float_to_half(std::nextafter(middle, 0.0F)) != low;
    wrong += float_to_half(std::nextafter(middle, 1e9F)) != high;
  }
  CHECK(wrong == 0);
  CHECK(float_to_half(65519.99F) == 0x7bff);
  CHECK(float_to_half(65520.0F) == 0x7c00);
  CHECK(float_to_half(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(float_to_half(1e-30F) == 0);
}

TEST_CASE("bfloat16 is the upper half of a float, rounded to even") {
  int wrong = 0;
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = bfloat16_to_float(bits);
    if (std::isnan(value)) {
      wrong += !std::isnan(bfloat16_to_float(float_to_bfloat16(value)));
      continue;
    }
    wrong += bits_of(value) != i << 16;
    wrong += float_to_bfloat16(value) != bits;
    if (std::isinf(value)) continue;
    const float middle = float_of(i << 16 | 0x8000);
    const auto up = static_cast<uint16_t>(i + 1);
    wrong += float_to_bfloat16(middle) != (bits % 2 == 0 ? bits : up);
    wrong += float_to_bfloat16(float_of(i << 16 | 0x7fff)) != bits;
    wrong += float_to_bfloat16(float_of(i << 16 | 0x8001)) != up;
  }
  CHECK(wrong == 0);
  // A NaN whose fraction lies in the lower half must not become infinite.
  CHECK(std::isnan(bfloat16_to_float(float_to_bfloat16(float_of(0x7f800001)))));
}

TEST_CASE("element counts are checked") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({2, 0, 3}) == 0);
  CHECK(element_count({INT64_MAX, INT64_MAX, 0}) == 0);
  CHECK_THROWS_AS(element_count({2, -1}), Error);
  CHECK_THROWS_AS(element_count({INT64_MAX, 2}), Error);
  CHECK_THROWS_AS(dtype_bytes(DType::kInt64, INT64_MAX), Error);
  CHECK(dtype_bytes(DType::kInt4, 3) == 2);
  CHECK(dtype_bytes(DType::kUInt2, 5) == 2);
  CHECK(shape_text({1, 3, 2}) == "1x3x2");
  CHECK(shape_text({}) == "scalar");
}

TEST_CASE("bytes must fit dtype and shape") {
  CHECK_THROWS_AS(Tensor::from_bytes(DType::kFloat32, {2}, bytes_of({1, 2, 3})), Error);
  CHECK_THROWS_AS(Tensor::from_bytes(DType::kString, {0}, {}), InternalError);
  CHECK_THROWS_AS(Tensor::from_strings({2}, {"one"}), Error);
  CHECK(Tensor::from_bytes(DType::kInt4, {3}, bytes_of({0, 0})).numel() == 3);
}

TEST_CASE("packed integers unpack from the low bits") {
  const auto bytes = bytes_of({0xf1, 0x08});
  CHECK(Tensor::from_bytes(DType::kInt4, {3}, bytes).to_int64() == std::vector<int64_t>{1, -1, -8});
  CHECK(Tensor::from_bytes(DType::kUInt4, {3}, bytes).to_int64() == std::vector<int64_t>{1, 15, 8});
  const auto two = bytes_of({0b11100100});
  CHECK(Tensor::from_bytes(DType::kUInt2, {4}, two).to_int64() == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(Tensor::from_bytes(DType::kInt2, {4}, two).to_int64() ==
        std::vector<int64_t>{0, 1, -2, -1});
}

TEST_CASE("reading with the wrong type") {
  const Tensor floats = Tensor::vector<float>({1.5F, -2});
  CHECK(floats.to_double() == std::vector<double>{1.5, -2});
  CHECK_THROWS_AS(floats.to_int64(), Error);
  CHECK_THROWS_AS(floats.values<int32_t>(), InternalError);
  CHECK_THROWS_AS(Tensor::from_strings({1}, {"a"}).to_double(), Error);
  CHECK(Tensor::vector<bool>({true, false}).to_int64() == std::vector<int64_t>{1, 0});
}

TEST_CASE("misaligned bytes are copied, aligned ones shared") {
  auto owner = std::make_shared<std::vector<std::byte>>(16);
  const std::span<const std::byte> all(*owner);
  const Tensor shared = Tensor::from_owner(DType::kFloat32, {2}, owner, all.first(8));
  CHECK(shared.bytes().data() == all.data());
  const Tensor copied = Tensor::from_owner(DType::kFloat32, {2}, owner, all.subspan(1, 8));
  CHECK(copied.bytes().data() != all.data() + 1);
  CHECK(reinterpret_cast<uintptr_t>(copied.bytes().data()) % 4 == 0);
}

TEST_CASE("identity is bitwise") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(Tensor::scalar(nan).identical(Tensor::scalar(nan)));
  CHECK_FALSE(Tensor::scalar(0.0F).identical(Tensor::scalar(-0.0F)));
  CHECK_FALSE(Tensor::scalar(1.0F).identical(Tensor::vector<float>({1})));
  CHECK(Tensor::from_strings({1}, {"a"}).identical(Tensor::from_strings({1}, {"a"})));
  CHECK_THROWS_AS(Tensor::vector<float>({1, 2}).reshaped({3}), InternalError);
}

TEST_CASE("type names go both ways") {
  for (int i = 0; i < kDTypeCount; ++i)
    CHECK(dtype_from_name(dtype_name(static_cast<DType>(i))) == static_cast<DType>(i));
  CHECK(dtype_from_name("float32") == DType::kFloat32);
  CHECK_FALSE(dtype_from_name("floaty"));
  CHECK(integer_min(DType::kInt4) == -8);
  CHECK(integer_max(DType::kUInt16) == 65535);
  CHECK_FALSE(is_integer(DType::kBool));
}

TEST_CASE("untrusted text is escaped") {
  CHECK(escape_untrusted("Conv_1/größe 名") == "Conv_1/größe 名");
  CHECK(escape_untrusted("a\x1b[31m\n") == "a\\x1b[31m\\x0a");
  CHECK(escape_untrusted(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(escape_untrusted("\x7f\xc2\x85") == "\\x7f\\x85");
  CHECK(escape_untrusted("\xe2\x80\xae") == "\\u202e");  // right-to-left override
  CHECK(escape_untrusted("\xff\xc3") == "\\xff\\xc3");
  CHECK(escape_untrusted("\xc0\x80") == "\\xc0\\x80");           // overlong NUL
  CHECK(escape_untrusted("\xe0\x80\x9b") == "\\xe0\\x80\\x9b");  // overlong escape
  CHECK(escape_untrusted("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // surrogate
  CHECK(escape_untrusted(std::string(1000, 'x'), 10) == std::string(10, 'x') + "…");
}

TEST_CASE("an error says what, where and what next") {
  const Error error = bad_input("model.bad", "it is broken", "node A", "mend it").within("m.onnx");
  CHECK(std::string(error.what()) == "m.onnx: node A: it is broken (mend it)");
  CHECK(error.id() == "model.bad");
  CHECK(error.code() == ExitCode::kBadInput);
}

}  // namespace
}  // namespace lathe
