#include <cmath>
#include <cstring>

#include "peaks/kernels.h"

namespace lathe {
namespace {

// 128-bit vectors are in the baseline of x86-64 and of 64-bit ARM.
using Floats = float __attribute__((vector_size(16)));
using Shorts = uint16_t __attribute__((vector_size(16)));
using Longs = uint64_t __attribute__((vector_size(16)));

constexpr int kFloatSums = 8;
constexpr int kShortSums = 8;

// The value counts as read and changed: nothing about it can be computed beforehand.
template <class Vector>
void hide(Vector& value) {
#if defined(__x86_64__)
  asm volatile("" : "+x"(value));
#elif defined(__aarch64__)
  asm volatile("" : "+w"(value));
#else
  asm volatile("" : "+m"(value));
#endif
}

Floats multiply_add(const Floats& a, const Floats& b, const Floats& sum) {
#if defined(__FP_FAST_FMAF)
  Floats out;
  for (int i = 0; i < 4; ++i) out[i] = std::fma(a[i], b[i], sum[i]);
  return out;
#else
  return a * b + sum;
#endif
}

void multiply_add_floats(int64_t steps) {
  Floats a = {1.0F, 1.0F, 1.0F, 1.0F};
  Floats b = a * 1e-9F;
  Floats sums[kFloatSums];
  for (Floats& sum : sums) sum = a;
  hide(a);
  hide(b);
  for (; steps > 0; --steps) {
#pragma GCC unroll 8
    for (Floats& sum : sums) sum = multiply_add(a, b, sum);
  }
  for (Floats& sum : sums) hide(sum);
}

// Eight-bit factors in 16-bit lanes: what a CPU without a dot product instruction does.
void multiply_add_shorts(int64_t steps) {
  Shorts a = {1, 2, 3, 4, 5, 6, 7, 8};
  Shorts b = a;
  Shorts sums[kShortSums] = {};
  hide(b);
  for (; steps > 0; --steps) {
#pragma GCC unroll 8
    for (Shorts& sum : sums) {
      hide(a);
      sum += a * b;
    }
  }
  for (Shorts& sum : sums) hide(sum);
}

}  // namespace

std::vector<ComputeKernel> portable_compute_kernels() {
  return {{"float32", "128-bit multiply, add", kFloatSums * 8, multiply_add_floats},
          {"int8", "128-bit 16-bit multiply, add", kShortSums * 16, multiply_add_shorts}};
}

void portable_read(const std::byte* data, size_t bytes) {
  Longs sums[8] = {};
  for (; bytes >= kReadGranule; bytes -= kReadGranule, data += kReadGranule) {
    for (size_t i = 0; i < kReadGranule / sizeof(Longs); i += 8) {
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
        Longs value;
        std::memcpy(&value, data + (i + j) * sizeof(Longs), sizeof value);
        sums[j] += value;
      }
    }
  }
  for (Longs& sum : sums) hide(sum);
}

std::vector<ComputeKernel> compute_kernels() {
#if defined(__x86_64__)
  std::vector<ComputeKernel> kernels = x86_compute_kernels();
#elif defined(__aarch64__)
  std::vector<ComputeKernel> kernels = arm_compute_kernels();
#else
  std::vector<ComputeKernel> kernels;
#endif
  for (const ComputeKernel& portable : portable_compute_kernels()) {
    bool has = false;
    for (const ComputeKernel& kernel : kernels) has = has || kernel.dtype == portable.dtype;
    if (!has) kernels.push_back(portable);
  }
  return kernels;
}

ReadKernel read_kernel() {
#if defined(__x86_64__)
  if (const ReadKernel own = x86_read_kernel()) return own;
#endif
  return portable_read;
}

}  // namespace lathe
