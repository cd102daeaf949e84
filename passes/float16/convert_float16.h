// float32 arithmetic becomes float16 where that is safe: half the weights, half the traffic.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "ir/graph.h"

namespace lathe {

/// Nodes that stay in float32, with the reason.
using KeptNodes = std::map<NodeId, std::string>;

/// What stays in float32, and what rounding the constants costs.
struct Float16Plan {
  KeptNodes kept;         // of this graph
  int64_t converted = 0;  // nodes, bodies included
  int64_t weights = 0;    // elements of the constants that are rounded
  int64_t subnormal = 0;  // of them: below 6.1e-5, so that fewer than 11 bits are left
  int64_t zeroed = 0;     // of them: not zero before, zero after
  std::map<std::pair<NodeId, size_t>, Float16Plan> bodies;  // of If, Loop, Scan, by subgraph
};

/// Stays by rule (float16_rules.h): what the ONNX specification or float16's range forbids, what
/// computes shapes or indices, what a runtime fuses with its QuantizeLinear neighbours, nodes with
/// constants beyond 65504 (and what reads their results) or entirely below 6.1e-5, and nodes that
/// only such nodes surround. `measured` stay besides; `ranges_known` says that these are all that
/// read or make too large values, so that nothing stays merely because what it reads may be beyond
/// 65504. Element types must have been inferred.
Float16Plan plan_float16(const Graph& graph, const KeptNodes& measured = {},
                         bool ranges_known = false);

/// Whether the plan converts a node of the graph that it was made for.
bool is_converted(const Graph& graph, const Float16Plan& plan, NodeId id);

/// Whether a node reads or makes float32 values that could be float16.
bool has_float32_work(const Graph& graph, const Node& node);
/// An input whose type stays by specification: regions and scales of a Resize.
bool stays_float32(const Node& node, size_t input);

/// Executes the plan: constants rounded (to nearest even; none is clamped), Casts where the types
/// meet. Graph inputs and outputs, and the borders of bodies, keep their types. Returns the number
/// of nodes converted; 0 changes nothing. Run eliminate_redundant_casts afterwards.
int convert_float16(Graph& graph, const Float16Plan& plan);
int convert_float16(Graph& graph);

}  // namespace lathe
