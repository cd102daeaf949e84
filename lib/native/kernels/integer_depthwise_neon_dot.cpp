// The depthwise convolution by SDOT (Armv8.2): the bytes of four kernel rows of a column are
// interleaved, so that one instruction sums four taps of four channels. Bytes are taken as signed,
// 128 less, which the sums begin with.
#pragma GCC target("arch=armv8.2-a+dotprod")

#include "kernels/integer_depthwise_neon.h"

namespace lathe {
namespace {

class DotTaps {
 public:
  static constexpr int kRows = 4;
  static constexpr int kBytes = 64;

  [[gnu::always_inline]] explicit DotTaps(const uint8x16_t (&row)[4]) {
    const uint8x16_t flip = vdupq_n_u8(128);
    const uint8x16_t low = vzip1q_u8(row[0], row[1]);
    const uint8x16_t high = vzip2q_u8(row[0], row[1]);
    const uint8x16_t other_low = vzip1q_u8(row[2], row[3]);
    const uint8x16_t other_high = vzip2q_u8(row[2], row[3]);
    quads_[0] = signed_quad(vzip1q_u16(words(low), words(other_low)), flip);
    quads_[1] = signed_quad(vzip2q_u16(words(low), words(other_low)), flip);
    quads_[2] = signed_quad(vzip1q_u16(words(high), words(other_high)), flip);
    quads_[3] = signed_quad(vzip2q_u16(words(high), words(other_high)), flip);
  }

  [[gnu::always_inline]] void add(int32x4_t (&sums)[4], const int8_t* weights) const {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[v] = vdotq_s32(sums[v], quads_[v], vld1q_s8(weights + 16 * v));
  }

 private:
  static uint16x8_t words(uint8x16_t bytes) { return vreinterpretq_u16_u8(bytes); }
  static int8x16_t signed_quad(uint16x8_t quad, uint8x16_t flip) {
    return vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u16(quad), flip));
  }

  int8x16_t quads_[4];
};

}  // namespace

const DepthwiseVariant& depthwise_neon_dot() {
  static constexpr DepthwiseVariant kVariant = {"depthwise:neon_dot", pack_depthwise_neon_dot,
                                                run_depthwise_neon<DotTaps>};
  return kVariant;
}

}  // namespace lathe
