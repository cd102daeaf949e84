#include "kernels/byte_binary.h"

#include <cmath>

#include "ir/x86_clones.h"
#include "kernels/byte_binary_variants.h"
#include "kernels/instructions.h"
#include "kernels/rounding.h"

namespace lathe {
namespace {

bool is_byte(int32_t zero) { return zero >= 0 && zero <= 255; }

// 32-bit integers hold every result, before it is clamped as well.
bool fits_integers(const ByteBinary& binary) {
  const float most = binary.multiply
                         ? 255.0f * 255.0f * std::fabs(binary.factor_a)
                         : 255.0f * (std::fabs(binary.factor_a) + std::fabs(binary.factor_b));
  return is_byte(binary.zero_a) && is_byte(binary.zero_b) &&
         most + std::fabs(binary.term) < 1073741824.0f;
}

}  // namespace

LATHE_X86_CLONES void run_byte_binary_any(const ByteBinary& binary, const uint8_t* a,
                                          const uint8_t* b, uint8_t* to, int64_t count) {
  const ByteBinary k = binary;
  const float low = k.low;
  const float high = k.high;
  if (k.multiply) {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) {
      const float product = static_cast<float>((a[i] - k.zero_a) * (b[i] - k.zero_b));
      to[i] = static_cast<uint8_t>(
          rounded_number(between(__builtin_fmaf(product, k.factor_a, k.term), low, high)));
    }
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) {
      const float second = __builtin_fmaf(static_cast<float>(b[i]), k.factor_b, k.term);
      to[i] = static_cast<uint8_t>(rounded_number(
          between(__builtin_fmaf(static_cast<float>(a[i]), k.factor_a, second), low, high)));
    }
  }
}

void run_byte_binary(const ByteBinary& binary, const uint8_t* a, const uint8_t* b, uint8_t* to,
                     int64_t count) {
  if (instructions().avx512 && fits_integers(binary))
    run_byte_binary_avx512(binary, a, b, to, count);
  else if (instructions().neon && fits_integers(binary))
    run_byte_binary_neon(binary, a, b, to, count);
  else
    run_byte_binary_any(binary, a, b, to, count);
}

}  // namespace lathe
