// The simplifications that every command starts with, in order.
#pragma once

#include "passes/pipeline.h"

namespace lathe {

/// Runs the list below to a fixed point (at most a few rounds) and infers shapes before and after.
void simplify(Graph& graph, Pipeline& pipeline);

}  // namespace lathe
