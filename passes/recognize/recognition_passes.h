// Passes that find ops which exporters wrote out in smaller ones, and put the op in their place.
// Conventions as in graph/graph_passes.h. Inner values of a pattern must not be read elsewhere;
// constants are compared with a few units of the last place of their type. A target whose opset
// lacks the op gets it written out again (onnx/lower_composites.h), in no more nodes than were
// found. Run order: recognize_patterns.cpp.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Given:  Flatten(x, last axis) -> Softmax | LogSoftmax over the rows -> Reshape to x's dimensions
/// Result: Softmax | LogSoftmax over x's last axis.
int recognize_flattened_softmax(Graph& graph);

/// Given:  e = Exp(x - ReduceMax(x)); e / ReduceSum(e) over the last axis, dimensions kept or
///         restored by Reshape or Unsqueeze
/// Result: Softmax.
int recognize_softmax(Graph& graph);

/// Given:  d = x - mean(x); d / sqrt(mean(d * d) + epsilon) [* gamma] [+ beta] over the last axes,
///         whose sizes are known; float32; gamma and beta constant. mean: ReduceMean or scaled
///         ReduceSum, dimensions kept or restored; mean(d * d) also as mean(x * x) - mean(x)^2,
///         clamped at 0; the division also as Reciprocal, roots and squares also as Pow
/// Result: LayerNormalization with gamma (ones when missing) and beta (absent when missing).
int recognize_layer_norm(Graph& graph);

/// Given:  x / 2 * (1 + erf(x / sqrt 2)), or x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))),
///         factors in any order and grouping
/// Result: Gelu, approximate = none or tanh.
int recognize_gelu(Graph& graph);

/// Given:  x * Sigmoid(x), x * Sigmoid(alpha * x)
/// Result: Swish.
int recognize_swish(Graph& graph);

/// Given:  Clip(x + b, 0, c) / c, float32 or narrower
/// Result: HardSigmoid(alpha = 1 / c, beta = b / c).
int recognize_hard_sigmoid(Graph& graph);

/// Given:  x * HardSigmoid(x, 1 / 6, 1 / 2), x * Clip(x + 3, 0, 6) / 6 in any order
/// Result: HardSwish.
int recognize_hard_swish(Graph& graph);

/// Given:  MatMul(Softmax(scale * MatMul(Q, Transpose(K)) [+ mask]), V); Q, K and V of four
///         dimensions with equal batch and heads, or of three with equal batch; the scale also on Q
///         or K; a mask of known sizes that only broadcasts to the scores
/// Result: Attention with an explicit scale; of three dimensions as one head. What is left of the
///         Transpose of K stays in front.
int recognize_attention(Graph& graph);

/// Given:  Concat over the channels of all b * b phases of a float32 image that Slices with steps b
///         cut out (the Focus layer of YOLOv5 and YOLOX)
/// Result: SpaceToDepth. Where the phases stand in another order, the input channels of the only
///         reader, a Conv of one group with a constant weight, are permuted instead; without such a
///         reader nothing is done.
int recognize_focus(Graph& graph);

}  // namespace lathe
