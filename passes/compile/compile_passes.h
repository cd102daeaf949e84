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

}  // namespace lathe
