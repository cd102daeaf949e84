// The edits of a BatchPlan, one by one.
#pragma once

#include <vector>

#include "batch/make_batch_dynamic.h"

namespace lathe {

/// Executes one edit. Returns the nodes that it added, producers first; their types are not known
/// yet.
std::vector<NodeId> apply_batch_edit(Graph& graph, const BatchEdit& edit);

/// The first of `count` equal slices along `axis`; an undefined tensor when they differ.
Tensor common_slice(const Tensor& tensor, int64_t axis);

}  // namespace lathe
