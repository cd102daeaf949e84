// As kernels_x86.cpp, for 64-bit Arm: chains of 16 sums hide a latency of 4 cycles of up to four
// units.
#if defined(__aarch64__)

#include <arm_neon.h>
#include <sys/auxv.h>

#include "peaks/kernels.h"

namespace lathe {
namespace {

constexpr int kSums = 16;

template <class Vector>
[[gnu::always_inline]] inline void hide(Vector& value) {
  asm volatile("" : "+w"(value));
}

void fmla(int64_t steps) {
  float32x4_t a = vdupq_n_f32(1.0F);
  float32x4_t b = vdupq_n_f32(1e-9F);
  float32x4_t sums[kSums];
  for (float32x4_t& sum : sums) sum = a;
  hide(a);
  hide(b);
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (float32x4_t& sum : sums) sum = vfmaq_f32(sum, a, b);
  }
  for (float32x4_t& sum : sums) hide(sum);
}

// Products of 8 bits added in pairs: what a processor without dot products does.
void smull_sadalp(int64_t steps) {
  int8x8_t a = vdup_n_s8(3);
  int8x8_t b = vdup_n_s8(-5);
  int32x4_t sums[kSums];
  for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (int32x4_t& sum : sums) {
      hide(a);
      sum = vpadalq_s16(sum, vmull_s8(a, b));
    }
  }
  hide(b);
  for (int32x4_t& sum : sums) hide(sum);
}

__attribute__((target("arch=armv8.2-a+dotprod"))) void sdot(int64_t steps) {
  int8x16_t a = vdupq_n_s8(3);
  int8x16_t b = vdupq_n_s8(-5);
  int32x4_t sums[kSums];
  for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
  hide(a);
  hide(b);
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (int32x4_t& sum : sums) sum = vdotq_s32(sum, a, b);
  }
  for (int32x4_t& sum : sums) hide(sum);
}

__attribute__((target("arch=armv8.2-a+i8mm"))) void usmmla(int64_t steps) {
  uint8x16_t a = vdupq_n_u8(3);
  int8x16_t b = vdupq_n_s8(-5);
  int32x4_t sums[kSums];
  for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
  hide(a);
  hide(b);
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (int32x4_t& sum : sums) sum = vusmmlaq_s32(sum, a, b);
  }
  for (int32x4_t& sum : sums) hide(sum);
}

__attribute__((target("arch=armv8.2-a+fp16+bf16"))) void bfmmla(int64_t steps) {
  bfloat16x8_t ones = vreinterpretq_bf16_u16(vdupq_n_u16(0x3f80));
  float32x4_t sums[kSums];
  for (float32x4_t& sum : sums) sum = vdupq_n_f32(0);
  hide(ones);
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (float32x4_t& sum : sums) sum = vbfmmlaq_f32(sum, ones, ones);
  }
  for (float32x4_t& sum : sums) hide(sum);
}

}  // namespace

std::vector<ComputeKernel> arm_compute_kernels() {
  std::vector<ComputeKernel> kernels = {{"float32", "fmla", kSums * 8, fmla},
                                        {"int8", "smull, sadalp", kSums * 16, smull_sadalp}};
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0)
    kernels.push_back({"int8", "sdot", kSums * 32, sdot});
  if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0)
    kernels.push_back({"int8", "usmmla", kSums * 64, usmmla});
  if ((getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0)
    kernels.push_back({"bfloat16", "bfmmla", kSums * 32, bfmmla});
  return kernels;
}

}  // namespace lathe

#endif
