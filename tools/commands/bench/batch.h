// A model at a batch size of its own, and the samples for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace lathe {

/// For each graph input the axis that counts the items of the batch; nullopt: it is the same for
/// all of them (a sample rate). Found by the symbol of the first input's free leading dimension.
/// Throws Error (exit 3) naming the input when no leading dimension is free; the hint says whether
/// `lathe compile --dynamic-batch` can make it so.
std::vector<std::optional<int64_t>> item_axes(const Graph& graph);

/// The graph for exactly `batch` items: free batch dimensions become that size, shapes are inferred
/// again. A graph fixed to this batch comes back as it is. Throws Error as item_axes.
Graph with_batch(const Graph& graph, int64_t batch);

/// Samples of `batch` items, each made of consecutive ones of `samples` (cyclically) along the axes
/// of `graph`; as many as `samples`, but no more than 256 MiB of them. Samples that have that size
/// already stay. Throws Error (exit 3) when sizes do not divide.
std::vector<std::vector<Tensor>> stack_samples(const std::vector<std::vector<Tensor>>& samples,
                                               const Graph& graph, int64_t batch);

}  // namespace lathe
