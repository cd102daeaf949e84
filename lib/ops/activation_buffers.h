// How much memory the values between the nodes need.
#pragma once

#include <vector>

#include "ir/graph.h"
#include "ir/memory_plan.h"

namespace lathe {

/// One request per tensor that the graph reads or writes, constants and
/// dequantized constants excluded: first the inputs,
/// then the nodes' outputs in the order of execution. Steps count graph.order(); inputs live from
/// step 0, outputs to the last step. Unknown sizes count as 1, an unknown type as 0 bytes.
/// Subgraphs' own values are not counted. Throws Error (exit 3 or 8) for sizes beyond 63 bits.
std::vector<BufferRequest> activation_buffers(const Graph& graph);

}  // namespace lathe
