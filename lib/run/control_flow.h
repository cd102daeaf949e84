// If, Loop, Scan and SequenceMap over runtime values. A body is anything that maps its formal
// inputs to its outputs; captured values are already bound.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

using RunBody = std::function<std::vector<RuntimeValue>(std::vector<RuntimeValue>)>;

bool is_control_flow(OpKind kind);

/// `bodies` are in the order of node.subgraphs.
std::vector<RuntimeValue> call_control_flow(const Node& node, std::span<const RuntimeValue> inputs,
                                            std::span<const RunBody> bodies);

}  // namespace lathe
