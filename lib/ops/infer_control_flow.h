// Types through If, Loop, Scan and SequenceMap, whose meaning is in their bodies.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace lathe {

/// What is known of a value that may have either type.
ValueType join_types(const ValueType& a, const ValueType& b);

/// Gives captured values and body inputs of the node's subgraphs the types known outside. Types of
/// loop-carried values keep the dims that the body declares: an iteration may change them.
/// Throws Error (exit 3) when the number of values inside and outside does not fit.
void set_body_types(Graph& graph, NodeId id);

/// The node's output types once its subgraphs are inferred; unknown for other ops.
std::vector<ValueType> control_flow_types(const Graph& graph, const Node& node);

}  // namespace lathe
