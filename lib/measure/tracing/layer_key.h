// What two layers must share to take equally long.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"

namespace lathe {

/// Op type, attributes, dtypes and shapes of inputs and outputs, which inputs are constants, and
/// the elements of short integer constants (a Slice's starts): "Conv {group=1, pads=1,1,1,1}
/// (float32 1x3x32x32, const float32 16x3x3x3) -> float32 1x16x32x32". Not the weights. nullopt for
/// a node with a body and where a shape is not known: such a layer is like no other.
std::optional<std::string> layer_key(const Graph& graph, NodeId id);

}  // namespace lathe
