#include "heavy/specialize_graph.h"

#include "compile/optimize_graph.h"
#include "passes/pipeline.h"
#include "tracing/op_profile_cost.h"

namespace lathe {

Graph specialized(const Graph& graph, const std::vector<Shape>& shapes) {
  Graph fixed = with_input_shapes(graph, shapes);
  Pipeline pipeline(fixed);
  optimize_graph(fixed, pipeline);
  return fixed;
}

}  // namespace lathe
