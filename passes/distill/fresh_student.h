// A student that knows nothing yet: a graph's structure with first values as training wants them.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace lathe {

/// Gives every parameter (train/parameters.h) its first value; shared vectors are separated before.
/// Shapes must have been inferred.
///   weights of products  normal, deviation gain / sqrt(fan-in); gain² = 2 / (1 + slope²) where a
///                        rectifier follows, else 1 (He et al.: "Delving Deep into Rectifiers",
///                        2015). Fan-in of a ConvTranspose: what reaches one output element
///   LSTM, GRU, RNN       uniform within 1 / sqrt(hidden units), biases too, as in PyTorch
///   embeddings           normal, deviation 0.02, those of positions too
///   scales               1; slopes of PRelu 0.25
///   biases               0
/// Averages of BatchNormalization become 0 and 1. The values are a function of `seed` and the
/// constants' names, equal on every machine. Returns the number of constants that were set.
int make_fresh(Graph& graph, uint64_t seed);

/// Given:  Conv | ConvTranspose of constant weights, followed by no normalization; Gemm of such
///         before a rectifier
/// Result: the producer without bias -> BatchNormalization (scale 1, the bias, averages 0 and 1;
///         epsilon 1e-5, momentum 0.9), which takes over the value's name: it is what the graph
///         called so, and what fuse_batch_norm() calls so when it folds it again
/// The same function but for epsilon (5e-6). Left alone is what has no use for statistics: a layer
/// whose result reaches a graph output past no other layer (a classifier, a head, an output
/// picture), and one whose picture is a single pixel. Ids of nodes and values stay; the output of
/// the producer is a value under a new name. Shapes are inferred anew. Returns the number of new
/// nodes.
int insert_batch_norm(Graph& graph);

}  // namespace lathe
