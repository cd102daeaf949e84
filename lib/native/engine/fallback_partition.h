// Nodes without a native kernel inside a native plan, run by the interpreter.
#pragma once

#include <memory>
#include <vector>

#include "ir/graph.h"
#include "program/bound_step.h"
#include "program/program.h"
#include "run/runtime_value.h"

namespace lathe {

/// `slots` outlives the step. Throws Error (exit 3) for ops that lathe cannot run.
std::unique_ptr<BoundStep> bind_fallback(const FallbackStep& step, const Graph& graph,
                                         const BindContext& context,
                                         std::vector<RuntimeValue>& slots);

/// For Program, of the parts that FallbackStep::partition counts; both outlive its constructor,
/// `slots` the program.
Program::BindFallback fallback_binder(const std::vector<Graph>& partitions,
                                      std::vector<RuntimeValue>& slots);

}  // namespace lathe
