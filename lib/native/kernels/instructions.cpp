#include "kernels/instructions.h"

#include <cstdlib>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace lathe {
namespace {

Instructions of_processor() {
  Instructions has;
#if defined(__x86_64__)
  has.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  has.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  has.vnni = has.avx512 && __builtin_cpu_supports("avx512vnni");
  has.vbmi = has.avx512 && __builtin_cpu_supports("avx512vbmi");
  has.tiles = has.vnni && __builtin_cpu_supports("amx-int8");
#elif defined(__aarch64__)
  has.neon = true;
  has.dot_products = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  has.i8mm = has.dot_products && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
  has.bfmmla = (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
#endif
  return has;
}

std::string_view limit() {
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"})
    if (const char* value = std::getenv(name); value != nullptr) return value;
  return {};
}

}  // namespace

Instructions limited(Instructions has, std::string_view name) {
  // Of the same generation as VNNI and bfloat16 (Cascade and Cooper Lake) is no VBMI.
  const bool vnni = name == "AVX512_CORE_VNNI" || name == "AVX512_CORE_BF16";
  const bool avx512 = name == "AVX512_CORE";
  const bool avx2 = name == "AVX2" || name == "AVX2_VNNI";
  const bool less = name == "SSE41" || name == "AVX";
  if (less) has.avx2 = false;
  if (less || avx2) has.avx512 = false;
  if (less || avx2 || avx512) has.vnni = false;
  if (less || avx2 || avx512 || vnni) has.vbmi = has.tiles = false;
  return has;
}

const Instructions& instructions() {
  static const Instructions all = limited(of_processor(), limit());
  return all;
}

}  // namespace lathe
