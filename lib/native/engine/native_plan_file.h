// Native plans of a graph as files, and back in the engine, with the interpreter for their fallback
// partitions.
#pragma once

#include <memory>
#include <string>

#include "artifact/plan_file.h"
#include "engine/native_engine.h"

namespace lathe {

/// Lowers the graph for batch 1 and, where its inputs' first dimensions are free, for the batches
/// after it: the file then serves every batch whose plan differs in numbers alone.
/// `batch_fixed`, `reason`: whether it does not, and why. Throws Error (exit 3) for an input whose
/// other dimensions are unknown, and where the graph has no shapes at batch 1.
struct NativePlanFile {
  PlanFile file;
  bool batch_fixed = false;
  std::string reason;
};
NativePlanFile make_plan_file(const Graph& graph, const SpecializeGraph& specialize,
                              const LowerOptions& options = {});

/// Shapes of the graph's inputs with `batch` where their first dimension is free. Throws Error
/// (exit 3) as make_plan_file does.
std::vector<Shape> shapes_at_batch(const Graph& graph, int64_t batch);

/// Parts that FallbackStep::partition counts.
std::vector<Graph> partitions_of(const PlanFile& file);
/// What is in them, which only lathe runs: "1 If, 2 Loop"; empty without.
std::string ops_left(const PlanFile& file);

/// The file's plan for a NativeEngine of plan_graph(file). It throws Error (exit 3) for shapes that
/// the file does not serve.
LowerShapes plans_of(std::shared_ptr<const PlanFile> file);

/// Adds the plan's weights as programs on this machine read them, at batch 1 and with as many
/// threads as ATen has. For plans that were tuned here: the file grows by its weights, and what it
/// holds depends on the machine.
void add_packed_weights(PlanFile& file);

}  // namespace lathe
