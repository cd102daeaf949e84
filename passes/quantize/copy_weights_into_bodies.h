// Weights beside the nodes that read them.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Given:  a body of If, Loop or Scan that captures a float32 constant
/// Result: the constant inside the body, at any depth, where folding and quantization see it. Two
///         bodies that read one constant get one each: worth it where both then become integers.
/// Returns the number of captures that went.
int copy_weights_into_bodies(Graph& graph);

}  // namespace lathe
