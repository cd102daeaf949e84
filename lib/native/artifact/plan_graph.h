// A plan as a graph, for what reads graphs: inspect, bench and the data sets that feed a model.
#pragma once

#include <memory>

#include "artifact/plan_file.h"
#include "ir/graph.h"

namespace lathe {

/// The domain of its nodes, one for each step, in order: the type is step_name(), the name that of
/// the first node that the step computes; the attribute "macs" says how often it multiplies and
/// adds, at batch 1.
constexpr std::string_view kPlanDomain = "lathe";

/// Inputs and outputs are the model's: the first dimension is named where the batch is free. Every
/// array that a step writes is a value; constants share the file's bytes. Nobody can run it but
/// the native engine, which has the plan. Throws Error (exit 3) for an output that no step writes.
Graph plan_graph(const std::shared_ptr<const PlanFile>& file);

/// Multiplications of a step: 0 where it is no product.
int64_t step_macs(const NativePlan& plan, const PlanStep& step);

/// Of all nodes of a graph that plan_graph made.
int64_t plan_macs(const Graph& graph);

}  // namespace lathe
