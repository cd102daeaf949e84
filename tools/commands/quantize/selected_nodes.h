// --include and --exclude of quantize, checked against the model.
#pragma once

#include "heavy/node_selection.h"
#include "ir/graph.h"
#include "options.h"

namespace lathe {

/// The two flags as a selection; nodes inside If, Loop and Scan count. Throws Error (exit 2) for a
/// GLOB that no node matches, and when the two together leave no node.
NodeSelection selected_nodes(const QuantizeOptions& options, const Graph& graph);

}  // namespace lathe
