#include "quantize/weights/round_weights.h"

#include <algorithm>
#include <map>

#include "quantize/plan/weight_params.h"
#include "quantize/weights/round_layers.h"

namespace lathe {
namespace {

WeightGrid grid_of(const WeightPlan& plan, const LinearLayer& layer) {
  const auto& scales = plan.params.scales;
  const at::Tensor all = at::empty({static_cast<int64_t>(scales.size())}, at::kDouble);
  std::copy(scales.begin(), scales.end(), all.data_ptr<double>());
  const bool one = scales.size() == 1;
  return {one ? all.view({1, 1, 1}) : all.view({layer.groups, layer.outputs, 1}),
          static_cast<double>(weight_qmax(plan.params.dtype, plan.reduce_range))};
}

// `stream` of a layer is its weight's place in the plan.
std::vector<LayerToRound> layers_of(const Graph& graph, const PrecisionPlan& plan) {
  std::vector<LayerToRound> layers;
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    const WeightPlan& weight = plan.weights[i];
    const std::optional<LinearLayer> layer = roundable_layer(graph, weight.node);
    const auto scales = static_cast<int64_t>(weight.params.scales.size());
    if (layer && (scales == 1 || scales == layer->channels()))
      layers.push_back({weight.node, grid_of(weight, *layer), i});
  }
  return layers;
}

// What is not rounded here runs as it will: activations and other weights as integers.
Graph with_rest(const Graph& graph, const PrecisionPlan& plan,
                const std::vector<LayerToRound>& layers) {
  PrecisionPlan rest = plan;
  for (const LayerToRound& layer : layers)
    for (auto* group : {&rest.weights, &rest.biases})
      std::erase_if(*group, [&](const WeightPlan& each) { return each.node == layer.node; });
  Graph working = graph;
  insert_qdq(working, rest);
  return working;
}

// The plan of a layer that was rounded with other scales or has a bias now.
void note(const Graph& graph, const LayerToRound& layer, const RoundedLayer& rounded, bool new_bias,
          PrecisionPlan& plan) {
  WeightPlan& weight = plan.weights[layer.stream];
  if (rounded.clipped) {
    const at::Tensor scales = rounded.scale.to(at::kFloat).contiguous();
    std::copy_n(scales.data_ptr<float>(), weight.params.scales.size(),
                weight.params.scales.begin());
  }
  if (!rounded.clipped && !new_bias) return;
  const auto input = plan.values.find(graph.node(layer.node).inputs[0]);
  if (input == plan.values.end()) return;
  const QuantParams params = bias_params(weight.params, input->second.scales[0]);
  if (new_bias) plan.biases.push_back({layer.node, 2, params});
  for (WeightPlan& bias : plan.biases)
    if (bias.node == layer.node) bias.params = params;
}

}  // namespace

std::vector<RoundingRow> round_weights(const Graph& reference, Graph& graph, PrecisionPlan& plan,
                                       const SampleSource& source, const RoundingOptions& options) {
  const std::vector<LayerToRound> layers = layers_of(reference, plan);
  return round_layers(reference, graph, with_rest(graph, plan, layers), layers, source, options,
                      [&](const LayerToRound& layer, const RoundedLayer& rounded, bool new_bias) {
                        note(graph, layer, rounded, new_bias, plan);
                      });
}

}  // namespace lathe
