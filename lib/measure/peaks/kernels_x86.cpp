// Sums enough to hide the latency (4 to 5 cycles) of two units, within 32 (zmm) or 16 (ymm)
// registers. The empty asm statements hide values from the compiler, which could otherwise compute
// them once; they emit nothing.
#if defined(__x86_64__)

#include <immintrin.h>

#include "peaks/kernels.h"

namespace lathe {
namespace {

constexpr int kWideSums = 16;
constexpr int kNarrowSums = 12;
constexpr int kAddedSums = 8;  // their chain is one addition

__attribute__((target("avx512f"))) void fma_zmm(int64_t steps) {
  __m512 a = _mm512_set1_ps(1.0F);
  __m512 b = _mm512_set1_ps(1e-9F);
  __m512 sums[kWideSums];
  for (__m512& sum : sums) sum = a;
  asm volatile("" : "+v"(a), "+v"(b));
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(a, b, sum);
  }
  for (const __m512& sum : sums) asm volatile("" : : "v"(sum));
}

__attribute__((target("avx2,fma"))) void fma_ymm(int64_t steps) {
  __m256 a = _mm256_set1_ps(1.0F);
  __m256 b = _mm256_set1_ps(1e-9F);
  __m256 sums[kNarrowSums];
  for (__m256& sum : sums) sum = a;
  asm volatile("" : "+x"(a), "+x"(b));
  for (; steps > 0; --steps) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(a, b, sum);
  }
  for (const __m256& sum : sums) asm volatile("" : : "x"(sum));
}

__attribute__((target("avx512f,avx512vnni"))) void vnni_zmm(int64_t steps) {
  __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(-5);
  __m512i sums[kWideSums];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  asm volatile("" : "+v"(a), "+v"(b));
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  for (const __m512i& sum : sums) asm volatile("" : : "v"(sum));
}

__attribute__((target("avx512f,avx512vl,avx512vnni"))) void vnni_ymm(int64_t steps) {
  __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(-5);
  __m256i sums[kNarrowSums];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  asm volatile("" : "+x"(a), "+x"(b));
  for (; steps > 0; --steps) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) sum = _mm256_dpbusd_epi32(sum, a, b);
  }
  for (const __m256i& sum : sums) asm volatile("" : : "x"(sum));
}

__attribute__((target("avx2,avxvnni"))) void avx_vnni_ymm(int64_t steps) {
  __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(-5);
  __m256i sums[kNarrowSums];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  asm volatile("" : "+x"(a), "+x"(b));
  for (; steps > 0; --steps) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) sum = _mm256_dpbusd_avx_epi32(sum, a, b);
  }
  for (const __m256i& sum : sums) asm volatile("" : : "x"(sum));
}

__attribute__((target("avx512f,avx512bf16"))) void bfloat16_zmm(int64_t steps) {
  const auto ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  __m512 sums[kWideSums];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, ones, ones);
  }
  for (const __m512& sum : sums) asm volatile("" : : "v"(sum));
}

__attribute__((target("avx512f,avx512bw"))) void maddubs_zmm(int64_t steps) {
  __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(-5);
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i sums[kWideSums];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) {
      asm volatile("" : "+v"(a), "+v"(b));
      sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), ones));
    }
  }
  for (const __m512i& sum : sums) asm volatile("" : : "v"(sum));
}

__attribute__((target("avx2"))) void maddubs_ymm(int64_t steps) {
  __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(-5);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[kAddedSums];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (; steps > 0; --steps) {
#pragma GCC unroll 8
    for (__m256i& sum : sums) {
      asm volatile("" : "+x"(a), "+x"(b));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  for (const __m256i& sum : sums) asm volatile("" : : "x"(sum));
}

__attribute__((target("avx512f"))) void read_zmm(const std::byte* data, size_t bytes) {
  __m512i sums[8];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (; bytes >= kReadGranule; bytes -= kReadGranule, data += kReadGranule) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      sums[i] = _mm512_or_si512(sums[i], _mm512_load_si512(data + 64 * i));
  }
  for (const __m512i& sum : sums) asm volatile("" : : "v"(sum));
}

__attribute__((target("avx2"))) void read_ymm(const std::byte* data, size_t bytes) {
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (; bytes >= kReadGranule; bytes -= kReadGranule, data += kReadGranule) {
    const auto* vectors = reinterpret_cast<const __m256i*>(data);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      sums[i % 8] = _mm256_or_si256(sums[i % 8], _mm256_load_si256(vectors + i));
  }
  for (const __m256i& sum : sums) asm volatile("" : : "x"(sum));
}

}  // namespace

std::vector<ComputeKernel> x86_compute_kernels() {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  std::vector<ComputeKernel> kernels;
  if (avx512) kernels.push_back({"float32", "vfmadd zmm", kWideSums * 32, fma_zmm});
  if (avx2) kernels.push_back({"float32", "vfmadd ymm", kNarrowSums * 16, fma_ymm});
  if (avx512 && __builtin_cpu_supports("avx512bf16"))
    kernels.push_back({"bfloat16", "vdpbf16ps zmm", kWideSums * 64, bfloat16_zmm});
  if (avx512 && __builtin_cpu_supports("avx512vnni")) {
    kernels.push_back({"int8", "vpdpbusd zmm", kWideSums * 128, vnni_zmm});
    kernels.push_back({"int8", "vpdpbusd ymm", kNarrowSums * 64, vnni_ymm});
  } else if (avx2 && __builtin_cpu_supports("avxvnni")) {
    kernels.push_back({"int8", "vpdpbusd ymm", kNarrowSums * 64, avx_vnni_ymm});
  }
  if (avx512)
    kernels.push_back({"int8", "vpmaddubsw zmm", kWideSums * 128, maddubs_zmm});
  else if (avx2)
    kernels.push_back({"int8", "vpmaddubsw ymm", kAddedSums * 64, maddubs_ymm});
  for (const ComputeKernel& kernel : amx_compute_kernels()) kernels.push_back(kernel);
  return kernels;
}

ReadKernel x86_read_kernel() {
  if (__builtin_cpu_supports("avx512f")) return read_zmm;
  return __builtin_cpu_supports("avx2") ? read_ymm : nullptr;
}

}  // namespace lathe

#endif
