// Ops on quantized tensors, by file.
#pragma once

#include <ATen/ATen.h>

#include "evaluate/affine.h"
#include "evaluate/evaluate.h"

namespace lathe {

/// A quantized input with its scale and zero point at index + 1 and index + 2, dequantized.
at::Tensor dequantized_input(const EvaluateCall& call, size_t index,
                             const AffineLayout& layout = {});
/// Quantizes `y` with the per-tensor scale and zero point at `index` and `index + 1` to the type of
/// the node's first output.
at::Tensor quantized_output(const EvaluateCall& call, const at::Tensor& y, size_t index);

// quantized_products.cpp
std::vector<at::Tensor> conv_integer(const EvaluateCall& call);
std::vector<at::Tensor> mat_mul_integer(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_conv(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_mat_mul(const EvaluateCall& call);
std::vector<at::Tensor> qgemm(const EvaluateCall& call);
std::vector<at::Tensor> dynamic_quantize_mat_mul(const EvaluateCall& call);
std::vector<at::Tensor> mat_mul_integer_to_float(const EvaluateCall& call);
std::vector<at::Tensor> mat_mul_nbits(const EvaluateCall& call);
/// Of a MatMulNBits: float32 [N, K], from its inputs 1 to 3.
at::Tensor nbits_weights(const EvaluateCall& call);

// quantized_elementwise.cpp
std::vector<at::Tensor> qlinear_add(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_mul(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_concat(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_sigmoid(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_leaky_relu(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_softmax(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_average_pool(const EvaluateCall& call);
std::vector<at::Tensor> qlinear_global_average_pool(const EvaluateCall& call);

}  // namespace lathe
