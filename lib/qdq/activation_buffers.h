// How much memory the values between the layers need.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "ir/memory_plan.h"

namespace lathe {

/// `requests[i]` is the buffer that holds `values[i]`, which the layer of `nodes[i]` writes
/// (invalid: a graph input).
struct ActivationBuffers {
  std::vector<BufferRequest> requests;
  std::vector<ValueId> values;
  std::vector<NodeId> nodes;
};

/// The buffers that an engine has which fuses layers (qdq/fused_layers.h), keeps integers until
/// they are used and renames elements in place: first the graph's inputs, then what the layers and
/// the quantizers that stand alone write, in the order of execution. Constants have none. Steps
/// count graph.order(), a layer runs at its last node's; inputs live from step 0, outputs to the
/// last step. Unknown sizes count as 1, an unknown type as 0 bytes. Subgraphs' own values are not
/// counted. Throws Error (exit 3 or 8) for sizes beyond 63 bits.
ActivationBuffers activation_buffers(const Graph& graph);

/// Bytes of the arena that plan_memory makes of them; nullopt for too many. Throws Error (exit 8)
/// as it does.
std::optional<int64_t> planned_arena_bytes(const ActivationBuffers& buffers, int64_t alignment);

}  // namespace lathe
