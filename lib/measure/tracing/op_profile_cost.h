// What a node asks of the machine, by its shapes alone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ir/graph.h"

namespace lathe {

/// Of one execution. A dimension that is not known counts as 1, an unknown type as 0 bytes; a
/// result beyond 63 bits is capped there.
struct OpCost {
  int64_t activation_bytes = 0;  // read: inputs that are no constants, each once
  int64_t parameter_bytes = 0;   // read: constants
  int64_t output_bytes = 0;      // written
  std::optional<int64_t> macs;   // 0 for ops that do not multiply; nullopt when not known
  /// It multiplies integers: to be held against the machine's integer peak.
  bool integer = false;

  int64_t bytes() const;
};

OpCost op_cost(const Graph& graph, NodeId id);

/// The graph with its inputs' dimensions set and everything behind them inferred anew, so that
/// costs of a model with free dimensions are those of the inputs it is run on. Node and value ids
/// stay. Returns the graph unchanged when the shapes do not fit it.
Graph with_input_shapes(Graph graph, std::span<const Shape> shapes);

}  // namespace lathe
