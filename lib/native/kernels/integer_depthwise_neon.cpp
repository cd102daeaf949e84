// The depthwise convolution on processors without dot products (Armv8.0): bytes become 16 bits
// wide.
#include "kernels/integer_depthwise_neon.h"

namespace lathe {
namespace {

class WideTaps {
 public:
  static constexpr int kRows = 1;
  static constexpr int kBytes = 32;  // weights of 16 bits

  [[gnu::always_inline]] explicit WideTaps(const uint8x16_t (&row)[1])
      : low_(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(row[0])))),
        high_(vreinterpretq_s16_u16(vmovl_high_u8(row[0]))) {}

  [[gnu::always_inline]] void add(int32x4_t (&sums)[4], const int8_t* weights) const {
    const int16x8_t low = vreinterpretq_s16_s8(vld1q_s8(weights));
    const int16x8_t high = vreinterpretq_s16_s8(vld1q_s8(weights + 16));
    sums[0] = vmlal_s16(sums[0], vget_low_s16(low_), vget_low_s16(low));
    sums[1] = vmlal_high_s16(sums[1], low_, low);
    sums[2] = vmlal_s16(sums[2], vget_low_s16(high_), vget_low_s16(high));
    sums[3] = vmlal_high_s16(sums[3], high_, high);
  }

 private:
  int16x8_t low_, high_;
};

}  // namespace

const DepthwiseVariant& depthwise_neon() {
  static constexpr DepthwiseVariant kVariant = {"depthwise:neon", pack_depthwise_neon,
                                                run_depthwise_neon<WideTaps>};
  return kVariant;
}

}  // namespace lathe
