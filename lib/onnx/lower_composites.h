// Ops that came late, written out in the older ones that they are made of.
#pragma once

#include <vector>

#include "onnx/edit_node.h"

namespace lathe {

/// The ops that the node can be written out in, element types those of its first input; empty when
/// it is not of such a kind, its element type is not known, or its form is one that only the op
/// itself has. Written out are: LayerNormalization (float32,
/// one output, known normalized sizes), Gelu, Swish, HardSwish, Attention (Q, K, V of equal heads,
/// at most an additive mask with all keys; no cache, cap or causality; one output).
std::vector<OpKind> composite_parts(const Graph& graph, const Node& node);

/// Writes the node out in the newest form of its parts, as exporters usually do. The last of them
/// is the node itself, so that its name and output stay. Scalars are rank 0, of the type of the
/// first input. Needs composite_parts().
void write_out(const NodeEdit& edit);

}  // namespace lathe
