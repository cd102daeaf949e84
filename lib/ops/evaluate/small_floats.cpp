#include "evaluate/small_floats.h"

#include <bit>
#include <cmath>
#include <limits>

#include "ir/error.h"

namespace lathe {
namespace {

struct Format {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  uint8_t largest;     // code of the largest finite value
  uint8_t overflow;    // code of what lies beyond it: infinity or NaN
  uint8_t nan;         // 0: none
  bool unsigned_zero;  // the code of -0 is NaN
};

Format format_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat8E4M3FN: return {4, 3, 7, 0x7e, 0x7f, 0x7f, false};
    case DType::kFloat8E4M3FNUZ: return {4, 3, 8, 0x7f, 0x80, 0x80, true};
    case DType::kFloat8E5M2: return {5, 2, 15, 0x7b, 0x7c, 0x7f, false};
    case DType::kFloat8E5M2FNUZ: return {5, 2, 16, 0x7f, 0x80, 0x80, true};
    case DType::kFloat4E2M1: return {2, 1, 1, 0x7, 0x7, 0, false};
    default: throw InternalError("not a small float type");
  }
}

uint8_t encode_power(float value, bool saturate, PowerRounding rounding) {
  const auto bits = std::bit_cast<uint32_t>(value) & 0x7fffffffu;
  const uint32_t exponent = bits >> 23, fraction = bits & 0x7fffffu;
  if (exponent == 0xff) return 0xff;
  const bool up = rounding == PowerRounding::kUp
                      ? fraction != 0
                      : rounding == PowerRounding::kNearest && fraction >= 0x400000u;
  // Code 0 is 2^-127, a subnormal float32: half of its range lies at or below it.
  if (exponent == 0) return up && fraction > 0x400000u ? 1 : 0;
  if (up && exponent == 0xfe) return saturate ? 0xfe : 0xff;
  return static_cast<uint8_t>(exponent + (up ? 1 : 0));
}

}  // namespace

bool is_small_float(DType dtype) {
  switch (dtype) {
    case DType::kFloat8E4M3FN:
    case DType::kFloat8E4M3FNUZ:
    case DType::kFloat8E5M2:
    case DType::kFloat8E5M2FNUZ:
    case DType::kFloat8E8M0:
    case DType::kFloat4E2M1: return true;
    default: return false;
  }
}

uint8_t encode_small_float(DType dtype, float value, bool saturate, PowerRounding rounding) {
  if (dtype == DType::kFloat8E8M0) return encode_power(value, saturate, rounding);
  const Format format = format_of(dtype);
  const auto sign = static_cast<uint8_t>(1 << (format.exponent_bits + format.mantissa_bits));
  const uint8_t signed_bit = std::signbit(value) ? sign : 0;
  if (std::isnan(value)) return format.nan != 0 ? format.nan : sign;
  const bool always = dtype == DType::kFloat4E2M1;
  const auto with_sign = [&](uint8_t code) {
    if (format.unsigned_zero && code == 0) return uint8_t{0};
    const bool is_nan = format.nan != 0 && code == format.nan;
    return static_cast<uint8_t>(code | (is_nan ? 0 : signed_bit));
  };
  const uint8_t beyond = saturate || always ? format.largest : format.overflow;
  if (std::isinf(value)) return with_sign(beyond);
  if (value == 0) return with_sign(0);  // frexp gives a zero the exponent 0
  int exponent = 0;
  std::frexp(value, &exponent);  // |value| = f * 2^exponent, f in [0.5, 1)
  // The unit in the last place, not below the subnormals' one.
  const int unit = std::max(exponent - 1, 1 - format.bias) - format.mantissa_bits;
  // Rounding to even; a carry into the next exponent comes out right in the code below.
  const double steps = std::nearbyint(std::ldexp(std::fabs(static_cast<double>(value)), -unit));
  const int biased = unit + format.mantissa_bits + format.bias;  // >= 1
  const double code = steps + static_cast<double>((biased - 1) << format.mantissa_bits);
  if (code > format.largest) return with_sign(beyond);
  return with_sign(static_cast<uint8_t>(code));
}

float decode_small_float(DType dtype, uint8_t code) {
  if (dtype == DType::kFloat8E8M0)
    return code == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, code - 127);
  const Format format = format_of(dtype);
  const int sign_shift = format.exponent_bits + format.mantissa_bits;
  const auto magnitude = static_cast<uint8_t>(code & ((1 << sign_shift) - 1));
  const bool negative = (code >> sign_shift & 1) != 0;
  if (format.unsigned_zero ? code == format.nan : format.nan != 0 && magnitude > format.largest) {
    if (dtype == DType::kFloat8E5M2 && magnitude == format.overflow)
      return negative ? -std::numeric_limits<float>::infinity()
                      : std::numeric_limits<float>::infinity();
    return std::numeric_limits<float>::quiet_NaN();
  }
  const int biased = magnitude >> format.mantissa_bits;
  const int mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
  const int steps = biased == 0 ? mantissa : mantissa + (1 << format.mantissa_bits);
  const float value = std::ldexp(static_cast<float>(steps),
                                 std::max(biased, 1) - format.bias - format.mantissa_bits);
  return negative ? -value : value;
}

}  // namespace lathe
