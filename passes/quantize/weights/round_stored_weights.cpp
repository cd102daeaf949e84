#include "quantize/weights/round_stored_weights.h"

#include "quantize/plan/weight_params.h"
#include "quantize/weights/round_layers.h"

namespace lathe {
namespace {

// `stream` of a layer is its weight's place in the plan.
std::vector<LayerToRound> give_scales(const Graph& graph, WeightStoragePlan& plan) {
  std::vector<LayerToRound> layers;
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    StoredWeight& weight = plan.weights[i];
    const auto& [node, input] = weight.readers.front();
    const std::optional<LinearLayer> layer = roundable_layer(graph, node);
    if (graph.value(weight.value).users.size() > 1 || graph.is_output(weight.value) || input != 1 ||
        !layer)
      continue;
    const Tensor& floats = *graph.constant(weight.value);
    weight.scales = quantize_blocks(floats, weight.dtype, weight.layout).scales;
    const at::Tensor scale =
        as_layer_weights(*layer, spread_scales(floats.shape(), weight.layout, *weight.scales));
    layers.push_back({node,
                      {scale, static_cast<double>(weight_qmax(weight.dtype, false)),
                       static_cast<double>(stored_qmin(weight.dtype))},
                      i});
  }
  return layers;
}

}  // namespace

void add_rounding_noise(const Graph& reference, const Graph& rounded, const WeightStoragePlan& plan,
                        StoredNoise& noise) {
  for (const StoredWeight& weight : plan.weights) {
    if (!weight.scales) continue;
    const auto before = reference.constant(weight.value)->values<float>();
    const auto after = rounded.constant(weight.value)->values<float>();
    for (size_t i = 0; i < before.size(); ++i) {
      const double change = static_cast<double>(after[i]) - before[i];
      noise.noise += change * change;
    }
  }
}

std::vector<RoundingRow> round_stored_weights(const Graph& reference, Graph& graph,
                                              WeightStoragePlan& plan, const SampleSource& source,
                                              const RoundingOptions& options) {
  const std::vector<LayerToRound> layers = give_scales(reference, plan);
  const OnRounded nothing = [](const LayerToRound&, const RoundedLayer&, bool) {};
  return round_layers(reference, graph, graph, layers, source, options, nothing);
}

}  // namespace lathe
