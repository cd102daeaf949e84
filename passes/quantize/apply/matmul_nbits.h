// Weights of 4 bits in ops of com.microsoft that ONNX Runtime computes from the bits themselves:
// MatMulNBits, and GatherBlockQuantized for tables
// (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Given:  y = MatMul(x, DequantizeLinear(W4 [K, N], scales, axis 0, block_size b)), or a Gemm with
///         neither alpha nor beta, int4 in blocks of 16, 32, … along its inputs
/// Result: y = MatMulNBits(x, W [N, K/b, b/2], scales [N * K/b]), then Add of a Gemm's bias
/// Given:  y = Gather(DequantizeLinear(W4, scales, axis a, block_size b), i) along another axis
/// Result: y = GatherBlockQuantized(W4, i, scales)
/// The depth is padded to whole blocks. Activations may be rounded to 8 bits a block
/// (accuracy_level 4), as fast kernels do. Returns the number of nodes that were replaced.
int fuse_matmul_nbits(Graph& graph);

}  // namespace lathe
