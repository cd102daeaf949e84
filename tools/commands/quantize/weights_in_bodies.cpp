#include "commands/quantize/weights_in_bodies.h"

#include "graph/graph_passes.h"
#include "graph/simplify.h"

namespace lathe {

void bring_weights_into_bodies(const QuantizeJob& job,
                               const std::function<int64_t(const Graph&)>& planned) {
  Graph& graph = job.model.graph;
  Graph trial = graph;
  if (copy_weights_into_bodies(trial) == 0) return;
  Pipeline pipeline(trial);
  simplify(trial, pipeline);
  if (planned(trial) <= planned(graph)) return;
  job.pipeline.run("copy_weights_into_bodies", [&] { return copy_weights_into_bodies(graph); });
  simplify(graph, job.pipeline);
}

}  // namespace lathe
