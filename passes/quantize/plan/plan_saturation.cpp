#include "quantize/plan/plan_saturation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "ir/error.h"
#include "qdq/qdq.h"
#include "quantize/plan/channel_index.h"
#include "quantize/plan/plan_weight.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

// A layer made ready to count.
struct CountedLayer {
  PairLayer layer;
  QuantParams input;
  std::vector<float> scales;   // of a step of its output channels
  std::vector<double> errors;  // squared rounding errors of its weights, one a scale
  double gain = 1;             // alpha of a Gemm, squared
};

// The input as unsigned integers: int8 is shifted by 128.
at::Tensor unsigned_input(const at::Tensor& x, const QuantParams& params) {
  const auto low = static_cast<double>(integer_min(params.dtype));
  const auto high = static_cast<double>(integer_max(params.dtype));
  const double zero = params.zero_points[0];
  return at::clamp(at::round(x.to(at::kFloat) / params.scales[0]) + zero, low, high) - low;
}

float unsigned_zero(const QuantParams& params) {
  return static_cast<float>(params.zero_points[0] - integer_min(params.dtype));
}

// Squared differences between a weight and its integers, summed for each scale.
std::vector<double> rounding_errors(const Tensor& weight, const WeightPlan& planned) {
  const QuantParams& params = planned.params;
  const ChannelIndex channel = channel_index(weight.shape(), params.axis);
  const std::vector<int64_t> integers =
      quantize_tensor(weight, params, planned.reduce_range).to_int64();
  const auto values = weight.values<float>();
  std::vector<double> errors(params.scales.size(), 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = channel(i);
    const double error = static_cast<double>(integers[i]) * params.scales[c] - values[i];
    errors[c] += error * error;
  }
  return errors;
}

std::optional<CountedLayer> counted_layer(const Graph& graph, const IntegerRules& rules,
                                          const PrecisionPlan& plan, NodeId id) {
  const Node& node = graph.node(id);
  const auto input = plan.values.find(node.inputs[0]);
  if (input == plan.values.end() || !is_eight_bits(input->second.dtype)) return std::nullopt;
  const PlannedWeight full = plan_weight(graph, rules, plan, id);
  const Tensor integers = quantize_tensor(*graph.constant(node.inputs[1]), full.weight.params,
                                          full.weight.reduce_range);
  auto layer = pair_layer(node, integers);
  if (!layer) return std::nullopt;
  const float alpha = node.kind == OpKind::kGemm ? node.attributes.float_or("alpha", 1) : 1.0f;
  CountedLayer counted{std::move(*layer), input->second, {}, {}, alpha * alpha};
  for (const float step : full.weight.params.scales)
    counted.scales.push_back(step * alpha * input->second.scales[0]);
  counted.errors = rounding_errors(*graph.constant(node.inputs[1]), full.weight);
  return counted;
}

// Positions of the output times the mean square of what is read there.
double squared_inputs(const CountedLayer& counted, const at::Tensor& x,
                      const SaturationCount& count) {
  if (x.numel() == 0 || counted.layer.inputs < 2) return 0;
  const double square = at::mean(at::square(x.to(at::kDouble))).item<double>();
  const int64_t channels = counted.layer.groups * counted.layer.outputs;
  const int64_t pairs = channels * (counted.layer.inputs / 2);
  const double positions =
      static_cast<double>(count.pairs) / static_cast<double>(std::max<int64_t>(1, pairs));
  return positions * square;
}

}  // namespace

std::vector<LayerSaturation> bound_saturation(const Graph& graph, const IntegerRules& rules,
                                              const PrecisionPlan& plan) {
  std::vector<LayerSaturation> layers;
  if (!rules.pair_sums_saturate || rules.weight_only || rules.weight_dtype != DType::kInt8)
    return layers;
  for (const WeightPlan& weight : plan.weights) {
    const auto counted = counted_layer(graph, rules, plan, weight.node);
    if (!counted) continue;
    LayerSaturation layer;
    layer.node = weight.node;
    layer.bound = saturation_bound(counted->layer);
    layer.factors = widening_factors(counted->layer, counted->scales.size());
    if (layer.bound.possible()) layers.push_back(std::move(layer));
  }
  return layers;
}

void count_pairs_of_layers(const Graph& graph, const IntegerRules& rules, const PrecisionPlan& plan,
                           const SampleSource& source, const SampleRunOptions& options,
                           std::vector<LayerSaturation>& layers) {
  std::map<ValueId, size_t> position;  // of a layer, by its output
  std::vector<CountedLayer> counted;
  std::vector<size_t> listed;
  for (size_t i = 0; i < layers.size(); ++i) {
    auto ready = counted_layer(graph, rules, plan, layers[i].node);
    if (!ready || !ready->layer.countable) continue;
    position[graph.node(layers[i].node).outputs[0]] = counted.size();
    counted.push_back(std::move(*ready));
    listed.push_back(i);
  }
  if (counted.empty() || source.count == 0) return;
  struct Part {
    SaturationCount count;
    double squares = 0;
  };
  std::vector<std::vector<Part>> parts(source.count, std::vector<Part>(counted.size()));
  const Interpreter interpreter(graph);
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    RunOptions run;
    run.check = options.check;
    run.compute =
        [&](const Node& node,
            const std::vector<RuntimeValue>& values) -> std::optional<std::vector<RuntimeValue>> {
      const auto it = node.outputs.empty() ? position.end() : position.find(node.outputs[0]);
      if (it == position.end() || !values[0].is_tensor()) return std::nullopt;
      const CountedLayer& layer = counted[it->second];
      const at::Tensor& x = values[0].tensor;
      Part part;
      part.count = count_pairs(layer.layer, node, unsigned_input(x, layer.input),
                               unsigned_zero(layer.input), layer.scales);
      part.squares = squared_inputs(layer, x, part.count);
      parts[sample][it->second] = std::move(part);
      return std::nullopt;
    };
    return interpreter.run(inputs, run);
  };
  for_each_sample(graph, source, options, work);
  for (size_t i = 0; i < counted.size(); ++i) {
    LayerSaturation& layer = layers[listed[i]];
    double squares = 0;
    for (const std::vector<Part>& sample : parts) {
      layer.count.merge(sample[i].count);
      squares += sample[i].squares;
    }
    layer.counted = layer.count.pairs > 0;
    const CountedLayer& ready = counted[i];
    const auto channels = static_cast<size_t>(ready.layer.groups * ready.layer.outputs);
    layer.count.lost.resize(channels);
    const WeightPlan widened = plan_weight(graph, rules, plan, layer.node, layer.factors).weight;
    const std::vector<double> errors =
        rounding_errors(*graph.constant(graph.node(layer.node).inputs[1]), widened);
    for (size_t c = 0; c < errors.size(); ++c)
      layer.rounding.push_back(squares * ready.gain * std::max(0.0, errors[c] - ready.errors[c]));
  }
}

double LayerSaturation::lost() const {
  return std::accumulate(count.lost.begin(), count.lost.end(), 0.0);
}

double LayerSaturation::rounding_error() const {
  return std::accumulate(rounding.begin(), rounding.end(), 0.0);
}

void decide_saturation(std::vector<LayerSaturation>& layers) {
  for (LayerSaturation& layer : layers) {
    layer.widened = layer.factors;
    if (!layer.counted) {
      layer.reason = fmt::format(
          "two weights of a channel can add up to {}, 16 bits hold 32767, and no data say whether "
          "they do",
          layer.bound.largest);
    } else if (layer.factors.size() == 1) {
      if (layer.lost() <= kAcceptedLoss * layer.rounding_error()) layer.widened[0] = 1;
    } else {
      for (size_t c = 0; c < layer.widened.size(); ++c)
        if (layer.count.lost[c] <= kAcceptedLoss * layer.rounding[c]) layer.widened[c] = 1;
    }
    layer.widened_scales = std::count_if(layer.widened.begin(), layer.widened.end(),
                                         [](float factor) { return factor > 1; });
    if (!layer.counted) continue;
    layer.reason = fmt::format(
        "{} of {} pair sums saturate on the data: {}", layer.count.saturating, layer.count.pairs,
        layer.widened_scales > 0 ? "they cost more than larger steps of the weights"
                                 : "larger steps of the weights would cost more");
  }
}

int apply_saturation(const Graph& graph, const IntegerRules& rules,
                     const std::vector<LayerSaturation>& layers, PrecisionPlan& plan) {
  int changes = 0;
  for (const LayerSaturation& layer : layers) {
    const PlannedWeight decided = plan_weight(graph, rules, plan, layer.node, layer.widened);
    for (WeightPlan& weight : plan.weights) {
      if (weight.node != layer.node || weight.params == decided.weight.params) continue;
      weight = decided.weight;
      ++changes;
    }
    for (WeightPlan& bias : plan.biases)
      if (decided.bias && bias.node == layer.node) bias = *decided.bias;
  }
  return changes;
}

}  // namespace lathe
