// Values that are known before a graph runs.
#pragma once

#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

/// Integer weights are dequantized once, not in every run: computes a DequantizeLinear whose inputs
/// are all in `constants` (by the values' indices) and puts its output there. False: another node,
/// or an input is absent.
bool hold_dequantized(const Node& node, std::vector<RuntimeValue>& constants);

/// A constant, or the DequantizeLinear of constants; absent for everything else.
RuntimeValue constant_value(const Graph& graph, ValueId id);

/// That of is_constant_floats (qdq/qdq.h); undefined otherwise.
Tensor constant_floats(const Graph& graph, ValueId id);

}  // namespace lathe
