// Mixed precision: products of matrices and convolutions in bfloat16, everything else in float32
// (Kalamkar and others 2019, https://arxiv.org/abs/1905.12322).
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

/// Whether the processor multiplies bfloat16 in hardware (avx512_bf16, amx_bf16, Arm's bf16);
/// elsewhere it is right but slow.
bool host_has_bfloat16();

/// Conv, ConvTranspose, Gemm and MatMul of float32 operands with both rounded to bfloat16, and
/// LSTM, GRU and RNN with the operands of their products rounded. Products are summed in float32
/// and rounded once; results, biases' sums behind it and cell states are float32. Differentiable,
/// with gradients of the products in bfloat16, too. nullopt: not such a node.
std::optional<std::vector<RuntimeValue>> compute_in_bfloat16(
    const Node& node, const std::vector<RuntimeValue>& inputs);

}  // namespace lathe
