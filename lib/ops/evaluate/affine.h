// Quantization and dequantization of whole tensors: lib/ir/quantization.h's arithmetic, fast.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "evaluate/evaluate.h"

namespace lathe {

/// How a scale (and zero point) tensor lies over the tensor that it quantizes.
struct AffineLayout {
  int64_t axis = 1;
  int64_t block_size = 0;  // 0: one entry per index of `axis`
};

/// saturate(round_half_even(x / scale) + zero_point) as storage_type(to), `to` an integer type of
/// at most 32 bits. NaN becomes the zero point. `scale` and `zero_point` (undefined: 0) hold one
/// element, one per index of the axis, or one per block. Differentiable and traceable paths are
/// taken when needed. Throws Error (exit 3) when the shapes do not fit.
at::Tensor quantize_values(const EvaluateCall& call, const at::Tensor& x, const at::Tensor& scale,
                           const at::Tensor& zero_point, DType to, const AffineLayout& layout = {});

/// (q - zero_point) * scale in the type of `scale` (float32 or float64).
at::Tensor dequantize_values(const EvaluateCall& call, const at::Tensor& q, const at::Tensor& scale,
                             const at::Tensor& zero_point, const AffineLayout& layout = {});

/// `parameter` shaped to broadcast over `sizes`; blocks are repeated.
at::Tensor spread_parameter(const EvaluateCall& call, const at::Tensor& parameter,
                            at::IntArrayRef sizes, const AffineLayout& layout);

/// Scale and zero point of uint8 that DynamicQuantizeLinear chooses for `x`: scalars of float32 and
/// uint8.
std::pair<at::Tensor, at::Tensor> dynamic_parameters(const at::Tensor& x);

}  // namespace lathe
