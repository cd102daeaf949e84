// The QOperator form: one integer op in place of DequantizeLinear, a float op and QuantizeLinear.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Given:  x8 -> DQ -> op -> [Relu | Clip] -> Q -> y8, activations and weights of 8 bits
/// Result: Conv: QLinearConv; MatMul: QLinearMatMul; Gemm: com.microsoft.QGemm; Add, Mul, Concat,
///         GlobalAveragePool, AveragePool, Sigmoid, LeakyRelu: com.microsoft.QLinearX; MaxPool,
///         Reshape, Transpose, Flatten, Squeeze, Unsqueeze, Slice, Gather, Identity, Tile with the
///         same parameters on both sides: the op itself on integers
///         (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md)
/// Given:  x8 -> DQ -> Gemm | MatMul with a constant weight -> y in float
/// Result: QGemm without output scale; com.microsoft.MatMulIntegerToFloat, with what an Add behind
///         it adds to each column
/// An activation is dropped only where the integers' range makes it idle. Biases must be int32 of
/// scale s_x * s_w. What does not fit stays as it is. Returns the number of nodes that were fused;
/// DequantizeLinear nodes that nobody reads any more are left to eliminate_dead_nodes.
int fuse_qoperators(Graph& graph);

}  // namespace lathe
