// Convolution of an NxCx… tensor, shared by the float, integer and fused operators.
#pragma once

#include <ATen/ATen.h>

#include "evaluate/evaluate.h"

namespace lathe {

/// Convolves `x` [N, C, …] with `weight` [M, C/group, …] by the node's attributes (strides,
/// dilations, pads, auto_pad, group), in their floating-point type; `bias` [M] may be undefined.
/// Padding is zero. Throws Error (exit 3) for attributes and shapes that do not fit.
at::Tensor convolve(const EvaluateCall& call, const at::Tensor& x, const at::Tensor& weight,
                    const at::Tensor& bias);

// deform_conv.cpp
std::vector<at::Tensor> deform_conv(const EvaluateCall& call);
std::vector<at::Tensor> col2im(const EvaluateCall& call);

}  // namespace lathe
