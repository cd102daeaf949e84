#include "commands/quantize/layer_search.h"

#include "heavy/model_data.h"
#include "ops/op_row.h"
#include "passes/passes.h"

namespace lathe {
namespace {

constexpr int64_t kSensitivitySamples = 32;

}  // namespace

LayerSensitivity measure_on_samples(const QuantizeJob& job, const SensitivityMeasure& measure) {
  const QuantizeOptions& options = job.options;
  const std::string& source = !options.data.empty()   ? options.data
                              : !options.eval.empty() ? options.eval
                                                      : std::string("random");
  const DataSet data = job_data(job, source, kSensitivitySamples);
  SensitivityOptions how;
  how.run = sample_run(job.threads, job.console, "measuring each layer's part", data.size());
  how.seed = options.common.seed;
  return measure(sample_source(data), how);
}

LayerSearch search_alone(const Graph& reference, std::set<NodeId> nodes,
                         std::function<void(NodeAlone&)> quantize) {
  LayerSearch search;
  search.reference = reference;
  search.measure = [reference, nodes = std::move(nodes),
                    quantize = std::move(quantize)](const QuantizeJob& job) {
    std::vector<NodeAlone> quantized;
    for (const NodeId id : nodes) {
      quantized.push_back(node_alone(reference, id));
      quantize(quantized.back());
    }
    return measure_on_samples(job,
                              [&](const SampleSource& source, const SensitivityOptions& options) {
                                return measure_sensitivity(reference, quantized, source, options);
                              });
  };
  search.rank = [](const LayerSensitivity& sensitivity) {
    std::vector<NodeId> ranking;
    for (const NodeNoise& row : sensitivity.nodes) ranking.push_back(row.node);
    return ranking;
  };
  return search;
}

void drop_leftovers(Graph& graph) {
  deduplicate_constants(graph);
  eliminate_dead_nodes(graph);
  infer_shapes(graph);
}

}  // namespace lathe
