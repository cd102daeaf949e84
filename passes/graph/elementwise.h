// Ops that do not care where an element stands.
#pragma once

#include "ir/op_kind.h"

namespace lathe {

/// Output element i depends on elements i of the inputs alone; inputs broadcast or are scalars.
/// (QuantizeLinear and DequantizeLinear: with scalar parameters.)
bool is_elementwise(OpKind kind);

/// Inputs beyond the first are parameters, not partners that broadcast.
bool has_parameters(OpKind kind);

}  // namespace lathe
