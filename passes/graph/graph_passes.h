// The catalogue of passes that prepare a graph for deployment, with what each is given and what
// results. As in passes/passes.h: the number of changes is returned, 0 means that the graph is
// untouched, and every pass goes into the bodies of control flow. Shapes are those of the last
// infer_shapes(). Run order: optimize_graph.cpp.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Given:  two nodes of one kind with equal inputs and equal attributes; not random, not opaque,
///         without bodies, no DequantizeLinear (runtimes look for one per reader), not both outputs
///         of the graph
/// Result: the first, read by all. A graph output keeps its name.
int eliminate_common_subexpressions(Graph& graph);

/// Given:  a body that captures a constant of at most 256 bytes
/// Result: the constant inside the body, where folding sees it.
int copy_constants_into_bodies(Graph& graph);

/// Given:  a body of If, Loop or Scan that captures a float32 constant
/// Result: the constant inside the body, at any depth, where folding and quantization see it. Two
///         bodies that read one constant get one each: worth it where both then become integers.
int copy_weights_into_bodies(Graph& graph);

/// Given:  If whose condition is constant
/// Result: the nodes of the chosen branch in its place; names that are taken get a numbered suffix.
int inline_constant_if(Graph& graph);

/// Given:  Shape(x) of partly known dimensions -> Gather | Slice (also through Concat, Squeeze,
///         Unsqueeze, Gather, Slice) with constant indices, that selects only known ones
/// Result: a constant. Dimensions declared by graph outputs are not believed.
int fold_shape_chains(Graph& graph);

/// Given:  Transpose -> Transpose
/// Result: one Transpose, or none when they cancel.
int fuse_consecutive_transposes(Graph& graph);

/// Given:  elementwise nodes between Transposes: every input is a value behind one and the same
///         permutation, a scalar, or a constant; outputs go to more such nodes, to Transposes, or
///         elsewhere
/// Result: the nodes work in the untransposed layout (constants permuted, inner values renamed),
///         Transposes stand behind them. Done only where fewer Transposes are left than before.
int push_transposes(Graph& graph);

/// Given:  Reshape | Flatten | Squeeze | Unsqueeze -> the same, the value between read only once
/// Result: one Reshape with a constant shape of at most one 0 and one -1.
int fuse_consecutive_reshapes(Graph& graph);

/// Given:  Cast -> Cast where the first keeps every value exactly (float16 -> float32 -> int32)
/// Result: the second reads the first's input, or vanishes when it only leads back.
int eliminate_redundant_casts(Graph& graph);

/// Given:  DequantizeLinear -> QuantizeLinear with equal constant float32 scales and zero points
///         and the same integer type of at most 16 bits
/// Result: users of the second read the integers. (QuantizeLinear -> DequantizeLinear rounds: it
///         stays.)
int cancel_quantize_dequantize(Graph& graph);

/// Given:  Gather(DequantizeLinear(W8, s), i), the table read by Gathers alone
/// Result: DequantizeLinear(Gather(W8, i), s); with a scale a row (zero points 0)
///         Cast(Gather(W8, i)) * Gather(s, i): the same numbers, of the rows that are asked for
///         alone. Runtimes expand the whole table at every run, and folding it makes it float.
int gather_integers(Graph& graph);

/// Given:  Relu | Clip (constant bounds, min <= max) -> Relu | Clip, floating
/// Result: one Relu or Clip over the common range; the second vanishes when it changes nothing.
int merge_activations(Graph& graph);

/// Given:  MatMul of a rank-2 value and a constant rank-2 weight -> Add of a constant bias, [N] or
///         [1,N]
/// Result: Gemm.
int fuse_matmul_add(Graph& graph);

/// Given:  trailing optional outputs that nobody reads (mask of Dropout, indices of MaxPool, Y_h
///         and Y_c of LSTM, …)
/// Result: the node without them.
int remove_unused_outputs(Graph& graph);

/// Given:  Conv of one group | Gemm -> … -> such another that alone adds its channels up
///         (channel_chain.h), some of which are constant: their weights are 0, or whatever goes in
///         leaves the quantizer at one end
/// Result: those channels are gone, what they added is in the second one's bias. Integers stay what
///         they were. Not where padding puts zeros beside a constant that is none, nor where there
///         is no bias to hold it. All but one channel may go.
int remove_constant_channels(Graph& graph);

/// Given:  an operation that gives one of its inputs back: x + 0, x - 0, x * 1, x / 1, x^1,
///         max(x, -inf), min(x, inf) with a constant that does not widen x; Neg(Neg), Not(Not);
///         Abs(Abs), Ceil(Floor) and the like; a Reduce over axes of size 1 that keeps them; a
///         Slice of everything; Tile by ones; Split into one; Clip without bounds
/// Result: users read the input. (x + 0 is x also for -0, which is equal to 0.)
int eliminate_neutral_operations(Graph& graph);

/// Given:  Reshape whose target is computed from shapes, of which all elements but one are known or
///         are the data's own size on that axis; Expand likewise
/// Result: a constant target (0 for an axis that stays, -1 for the one that is open); an Expand to
///         the size that is there already vanishes. Only sizes that follow from the inputs count.
int fold_reshape_targets(Graph& graph);

/// Given:  LSTM | GRU | RNN with an initial state of zeros, constant or expanded from a constant
/// Result: without it: zeros are the default.
int drop_zero_states(Graph& graph);

/// Given:  Slice that is read by Slices only, all with constant parameters, on other axes or on
/// axes
///         of known size
/// Result: the readers cut from the first's input.
int fuse_consecutive_slices(Graph& graph);

/// Given:  Concat -> Concat on one axis, the value between read only once; constants of size 0
/// Result: one Concat.
int fuse_consecutive_concats(Graph& graph);

/// Given:  Transpose that only moves axes of size 1, beside a Reshape | Flatten | Squeeze |
///         Unsqueeze
/// Result: Reshape, which fuse_consecutive_reshapes joins with its neighbour.
int replace_trivial_transposes(Graph& graph);

/// Given:  Reduce* that keeps its axes -> Squeeze | Reshape | Flatten that drops just these
/// Result: Reduce* with keepdims = 0.
int fuse_reduce_squeeze(Graph& graph);

/// Given:  x op c1 op c2, floating, op both of Add | Sub or both of Mul | Div, constants that
///         broadcast to each other's shape, do not cancel and are of moderate size
/// Result: x op c. Arithmetic in double.
int fuse_constant_chains(Graph& graph);

/// Given:  three or more MatMul of one value by constant matrices, or two or more with a bias
/// behind
///         each
/// Result: one MatMul (and Add) by the matrices beside each other -> Split.
int merge_parallel_matmuls(Graph& graph);

/// Given:  a float32 constant of several numbers, denormal ones (below 1.2e-38) among them, that is
///         no output and that nothing is divided by
/// Result: zeros in their place. Processors multiply by denormal numbers up to fifty times slower;
///         runtimes that flush them compute the same as before, others to 1e-38 of what they read.
int flush_denormal_constants(Graph& graph);

}  // namespace lathe
