// The catalogue of passes: every transformation of a Graph, with what it is given and what results.
// A pass returns the number of its changes; 0 means that the graph is untouched. Passes are called
// in flat lists (see graph/simplify.h) through Pipeline::run; nothing registers itself.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace lathe {

// -- simplify ----------------------------------------------------------------------------------

/// Removes nodes whose outputs nobody reads, then constants and captures that nobody reads.
int eliminate_dead_nodes(Graph& graph);

/// Given:  y = Identity(x), Dropout(x) at inference, Cast to x's own type, Transpose with identity
///         permutation, Concat/Sum/Max/Min/Mean of one input, Pad by zeros, Reshape/Expand to
///         the same static shape, Flatten of a static rank-2 value at axis 1
/// Result: users of y read x. A graph output keeps its name.
int eliminate_identities(Graph& graph);

/// What folding may cost.
struct FoldLimits {
  /// An output of at most this many bytes is folded; a larger one only when it is no larger than
  /// the constants that die with it.
  int64_t output_bytes = int64_t{1} << 20;
  /// Sum of all bytes added by folding, as a share of the constants' bytes before (at least 1 MiB).
  double growth = 0.1;
};

/// Given:  a node whose inputs are all constant; Shape or Size of a value with known dimensions
/// Result: constants. Never folds random ops, control flow, DequantizeLinear of weights, or nodes
///         whose output size cannot be known beforehand.
int fold_constants(Graph& graph, const FoldLimits& limits = {});

/// Given:  Conv | ConvTranspose | Gemm -> BatchNormalization (inference), all parameters constant
/// Result: the producer with scaled weights and a new bias. Arithmetic in double.
int fuse_batch_norm(Graph& graph);

/// Given:  Conv | ConvTranspose | Gemm -> Mul | Div | Add | Sub by a per-channel or scalar constant
/// Result: the producer with scaled weights or shifted bias. Arithmetic in double.
int fuse_channel_affine(Graph& graph);

/// Given:  Pad (constant 0, spatial only, not negative) -> Conv with explicit padding
/// Result: Conv with larger pads.
int fuse_pad(Graph& graph);

/// Given:  constants with equal dtype, shape and bytes
/// Result: one of them (the first), read by all.
int deduplicate_constants(Graph& graph);

/// Given:  float16 or bfloat16 constants, values and Casts inside a graph
/// Result: float32 inside; graph inputs and outputs keep their type behind Cast nodes.
int widen_float16(Graph& graph);

}  // namespace lathe
