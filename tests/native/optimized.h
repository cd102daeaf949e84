// Graphs as `compile` and `bench` hand them to the native engine.
#pragma once

#include "engine/write_out_ops.h"
#include "graph/optimize_graph.h"
#include "native_run.h"
#include "passes/pipeline.h"

namespace lathe::test {

inline Graph optimized(const Graph& graph, const std::vector<Shape>& shapes) {
  Graph fixed = with_shapes(graph, shapes);
  Pipeline pipeline(fixed);
  optimize_graph(fixed, pipeline);
  write_out_ops(fixed);
  infer_shapes(fixed);
  return fixed;
}

}  // namespace lathe::test
