// The recognition passes in their order.
#pragma once

#include "passes/pipeline.h"

namespace lathe {

/// Runs the passes of recognition_passes.h once; returns the number of changes. Needs inferred
/// shapes.
int recognize_patterns(Graph& graph, Pipeline& pipeline);

}  // namespace lathe
