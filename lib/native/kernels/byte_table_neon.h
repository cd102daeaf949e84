// A table of 256 bytes in sixteen vectors of 64-bit Arm.
#pragma once

#include <arm_neon.h>

namespace lathe {
namespace {

struct ByteTable {
  uint8x16x4_t quarter[4];
};

[[gnu::always_inline]] inline ByteTable load_table(const uint8_t* entries) {
  return {vld1q_u8_x4(entries), vld1q_u8_x4(entries + 64), vld1q_u8_x4(entries + 128),
          vld1q_u8_x4(entries + 192)};
}

// An index beyond a quarter leaves what is there: differences wrap around.
[[gnu::always_inline]] inline uint8x16_t through_table(uint8x16_t index, const ByteTable& table) {
  uint8x16_t found = vqtbl4q_u8(table.quarter[0], index);
  found = vqtbx4q_u8(found, table.quarter[1], vsubq_u8(index, vdupq_n_u8(64)));
  found = vqtbx4q_u8(found, table.quarter[2], vsubq_u8(index, vdupq_n_u8(128)));
  return vqtbx4q_u8(found, table.quarter[3], vsubq_u8(index, vdupq_n_u8(192)));
}

}  // namespace
}  // namespace lathe
