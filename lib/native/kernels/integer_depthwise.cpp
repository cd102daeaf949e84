#include "kernels/integer_depthwise.h"

#include "kernels/integer_depthwise_lines.h"
#include "kernels/integer_depthwise_variants.h"
#include "kernels/integer_epilogue.h"

namespace lathe {
namespace {

const DepthwiseVariant& depthwise_variant(KernelIsa isa) {
  switch (isa) {
    case KernelIsa::kAvx512Vnni: return depthwise_avx512();
    case KernelIsa::kAvx2: return depthwise_avx2();
    case KernelIsa::kNeon: return depthwise_neon();
    case KernelIsa::kNeonDot:
    case KernelIsa::kNeonI8mm: return depthwise_neon_dot();
    case KernelIsa::kScalar: break;
  }
  return depthwise_scalar();
}

}  // namespace

PackedDepthwise pack_depthwise(KernelIsa isa, const int8_t* weights, int64_t channels,
                               const DepthwiseWindow& window, const float* scale, const float* bias,
                               uint8_t zero_point) {
  PackedDepthwise packed;
  packed.isa = isa;
  packed.name = depthwise_variant(isa).name;
  packed.channels = channels;
  packed.window = window;
  packed.padding.assign(static_cast<size_t>(channels), zero_point);
  const int64_t taps = window.kernel_height * window.kernel_width;
  for (int64_t c = 0; c < channels && !packed.may_overflow; ++c)
    packed.may_overflow = may_reach_overflow(weights + c * taps, taps, scale[c], bias[c]);
  depthwise_variant(isa).pack(packed, weights, scale, bias);
  return packed;
}

size_t depthwise_lines(const DepthwiseRows& rows) {
  return static_cast<size_t>(rows.depthwise->window.kernel_height * line_length(rows));
}

void run_depthwise(const DepthwiseRows& rows, const uint8_t** lines) {
  depthwise_variant(rows.depthwise->isa).run(rows, lines);
}

}  // namespace lathe
