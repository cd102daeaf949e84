// Where gradients can go: which parameters a loss on some values reaches, and what is in the way.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// The op's row has a derivative: autograd agrees with finite differences
/// (tests/train/gradient_check_test.cpp).
bool is_differentiable(OpKind kind);
/// The same for this node: a Cast must stay in floating point, a scatter must not multiply or
/// select, If and Loop count as differentiable.
bool is_differentiable(const Node& node);

struct GradientPath {
  std::vector<ValueId> unreached;  // parameters that `outputs` give no gradient
  std::vector<NodeId> stops;       // nodes between them and `outputs` that have no derivative
};

GradientPath trace_gradients(const Graph& graph, std::span<const ValueId> outputs,
                             std::span<const ValueId> parameters);

}  // namespace lathe
