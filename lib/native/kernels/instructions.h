// Which instructions kernels may use.
#pragma once

#include <string_view>

namespace lathe {

struct Instructions {
  bool avx2 = false;    // and FMA
  bool avx512 = false;  // F, BW, DQ and VL
  bool vnni = false;    // of 512 bits
  bool vbmi = false;
  bool tiles = false;         // AMX for int8
  bool neon = false;          // 64-bit Arm
  bool dot_products = false;  // Armv8.2: sdot, udot
  bool i8mm = false;          // Armv8.6: usmmla
  bool bfmmla = false;        // Armv8.6, BF16

  bool operator==(const Instructions&) const = default;
};

/// What the processor has, but no more than ONEDNN_MAX_CPU_ISA (or DNNL_MAX_CPU_ISA) names, which
/// holds for oneDNN's kernels, too: so one machine can compute as lesser ones do.
const Instructions& instructions();

/// `has` without what a processor of this name (SSE41, AVX2, AVX512_CORE, AVX512_CORE_VNNI, …)
/// lacks; all of it for other names.
Instructions limited(Instructions has, std::string_view name);

}  // namespace lathe
