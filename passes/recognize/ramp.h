// The ramp that hard activations are made of.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Clip(x + shift, 0, top), top > 0, by the nodes `inner`.
struct Ramp {
  ValueId x;
  double shift = 0;
  double top = 0;
  std::vector<NodeId> inner;
};
std::optional<Ramp> ramp_of(const Graph& graph, ValueId value);

}  // namespace lathe
