// The optimizations that `lathe compile` makes before it writes for any target, in order.
#pragma once

#include "passes/pipeline.h"

namespace lathe {

/// Runs simplify()'s passes and those of compile_passes.h to a fixed point (at most 16 rounds) and
/// infers shapes before and after. A second call changes nothing.
void optimize_graph(Graph& graph, Pipeline& pipeline);

}  // namespace lathe
