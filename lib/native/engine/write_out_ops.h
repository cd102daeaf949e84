// Ops without a native kernel as ops that have one.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Attention becomes its two products with Softmax between them, BatchNormalization with constant
/// statistics a multiplication and an addition, MatMulNBits a product with floats, where forms
/// allow it. The last part has the node's
/// name and output. Shapes are to be inferred again.
void write_out_ops(Graph& graph);

}  // namespace lathe
