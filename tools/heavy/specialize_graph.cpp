#include "heavy/specialize_graph.h"

#include "engine/write_out_ops.h"
#include "graph/optimize_graph.h"
#include "ops/op_row.h"
#include "passes/pipeline.h"
#include "tracing/op_profile_cost.h"

namespace lathe {

Graph specialized(const Graph& graph, const std::vector<Shape>& shapes) {
  Graph fixed = with_input_shapes(graph, shapes);
  Pipeline pipeline(fixed);
  optimize_graph(fixed, pipeline);
  write_out_ops(fixed);
  infer_shapes(fixed);
  return fixed;
}

}  // namespace lathe
