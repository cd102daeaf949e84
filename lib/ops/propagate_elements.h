// Follows the elements of small integer tensors through shape computations such as
// Shape -> Gather -> Concat -> Reshape.
#pragma once

#include "ops/op_row.h"

namespace lathe {

/// Elements of the node's first output, nullopt when not known. The output's type and dims must
/// have been inferred. Numbers that overflow become unknown.
std::optional<Elements> propagate_elements(const InferCall& call);

}  // namespace lathe
