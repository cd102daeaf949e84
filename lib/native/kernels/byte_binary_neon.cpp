// Sums and products of bytes on 128-bit vectors of 64-bit Arm.
#include "kernels/byte_binary_variants.h"
#include "kernels/integer_epilogue_neon.h"

namespace lathe {
namespace {

// Of sixteen bytes less a zero point: 16 bits hold them.
struct Differences {
  int16x8_t low, high;
};

[[gnu::always_inline]] inline Differences differences(uint8x16_t bytes, uint8x8_t zero) {
  return {vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(bytes), zero)),
          vreinterpretq_s16_u16(vsubl_u8(vget_high_u8(bytes), zero))};
}

[[gnu::always_inline]] inline uint8x16_t sum(const ByteBinary& k, uint8x16_t a, uint8x16_t b) {
  int32x4_t q[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const float32x4_t second =
        vfmaq_f32(vdupq_n_f32(k.term), as_floats(b, v), vdupq_n_f32(k.factor_b));
    q[v] = vcvtnq_s32_f32(vfmaq_f32(second, as_floats(a, v), vdupq_n_f32(k.factor_a)));
  }
  return narrowed(q);
}

[[gnu::always_inline]] inline uint8x16_t product(const ByteBinary& k, uint8x16_t a, uint8x16_t b) {
  const Differences x = differences(a, vdup_n_u8(static_cast<uint8_t>(k.zero_a)));
  const Differences y = differences(b, vdup_n_u8(static_cast<uint8_t>(k.zero_b)));
  const int32x4_t products[4] = {
      vmull_s16(vget_low_s16(x.low), vget_low_s16(y.low)), vmull_high_s16(x.low, y.low),
      vmull_s16(vget_low_s16(x.high), vget_low_s16(y.high)), vmull_high_s16(x.high, y.high)};
  int32x4_t q[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v)
    q[v] = vcvtnq_s32_f32(
        vfmaq_f32(vdupq_n_f32(k.term), vcvtq_f32_s32(products[v]), vdupq_n_f32(k.factor_a)));
  return narrowed(q);
}

template <bool kMultiply>
[[gnu::always_inline]] inline void run(const ByteBinary& k, const uint8_t* a, const uint8_t* b,
                                       uint8_t* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const int64_t left = count - i;
    const uint8x16_t x = load_bytes(a + i, left);
    const uint8x16_t y = load_bytes(b + i, left);
    const uint8x16_t bytes = kMultiply ? product(k, x, y) : sum(k, x, y);
    store_bytes(to + i,
                bounded_bytes(bytes, static_cast<uint8_t>(k.low), static_cast<uint8_t>(k.high)),
                left);
  }
}

}  // namespace

void run_byte_binary_neon(const ByteBinary& binary, const uint8_t* a, const uint8_t* b, uint8_t* to,
                          int64_t count) {
  const ByteBinary k = binary;  // stored bytes could be it
  if (k.multiply)
    run<true>(k, a, b, to, count);
  else
    run<false>(k, a, b, to, count);
}

}  // namespace lathe
