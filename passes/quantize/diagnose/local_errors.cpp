#include "quantize/diagnose/local_errors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "ops/activation_fusion.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"
#include "quantize/plan/precision_plan.h"
#include "run/compare.h"
#include "run/constant_value.h"
#include "run/node_call.h"

namespace lathe {
namespace {

// Elements of a value that are kept while the second network runs; a prime stride does not fall
// into step with channels.
constexpr int64_t kKeptElements = 1 << 16;
constexpr int64_t kStrides[] = {1, 2, 5, 11, 23, 47, 97, 197, 397, 797, 1597, 3203, 6421, 12853};

at::Tensor sample_of(const at::Tensor& tensor) {
  int64_t stride = kStrides[0];
  for (const int64_t candidate : kStrides) {
    stride = candidate;
    if (tensor.numel() / stride <= kKeptElements) break;
  }
  return tensor.reshape({-1}).slice(0, 0, tensor.numel(), stride).clone();
}

// QuantizeLinear and DequantizeLinear of one value, with their parameters.
class Rounding {
 public:
  Rounding(const Graph& graph, const Node& dequantize) : graph_(&graph), dequantize_(&dequantize) {
    const NodeId maker = graph.value(dequantize.input(0)).producer;
    if (maker.valid()) quantize_ = &graph.node(maker);
  }
  bool is_activation() const {
    return quantize_ != nullptr && quantize_->kind == OpKind::kQuantizeLinear &&
           constants(*quantize_) && constants(*dequantize_);
  }
  RuntimeValue operator()(const RuntimeValue& value) const {
    return call(*dequantize_, call(*quantize_, value));
  }

 private:
  bool constants(const Node& node) const {
    for (size_t i = 1; i < node.inputs.size(); ++i)
      if (node.inputs[i].valid() && graph_->constant(node.inputs[i]) == nullptr) return false;
    return true;
  }
  RuntimeValue call(const Node& node, const RuntimeValue& value) const {
    std::vector<RuntimeValue> inputs{value};
    for (size_t i = 1; i < node.inputs.size(); ++i)
      inputs.push_back(constant_value(*graph_, node.inputs[i]));
    return call_op(node, inputs).at(0);
  }

  const Graph* graph_;
  const Node* dequantize_;
  const Node* quantize_ = nullptr;
};

struct Layer {
  NodeId node;                             // of the reference
  ValueId output;                          // fused, of the reference
  std::map<size_t, Rounding> inputs;       // activations by input
  std::map<size_t, RuntimeValue> weights;  // as stored, by input
  std::optional<Rounding> own_output;
  std::optional<ActivationBounds> clamp;
};

std::optional<Rounding> rounding_behind(const Graph& graph, ValueId value) {
  for (const NodeId user : graph.value(value).users) {
    if (graph.node(user).kind != OpKind::kQuantizeLinear) continue;
    for (const NodeId next : graph.value(graph.node(user).output(0)).users)
      if (graph.node(next).kind == OpKind::kDequantizeLinear) {
        const Rounding rounding(graph, graph.node(next));
        if (rounding.is_activation()) return rounding;
      }
  }
  return std::nullopt;
}

std::optional<Layer> layer_of(const Graph& reference, const Graph& quantized, NodeId id) {
  const Node& node = quantized.node(id);
  if (node.kind == OpKind::kQuantizeLinear || node.kind == OpKind::kDequantizeLinear ||
      op_row(node.kind).keeps_quantization || !node.subgraphs.empty() || node.outputs.size() != 1)
    return std::nullopt;
  Layer layer;
  // Inserting keeps ids; names may repeat.
  if (!reference.is_live(id) || reference.node(id).name != node.name) return std::nullopt;
  layer.node = id;
  const Node& original = reference.node(layer.node);
  if (original.kind != node.kind || original.inputs.size() > node.inputs.size() ||
      original.outputs.empty() || !is_floating(reference.value(original.output(0)).type.dtype))
    return std::nullopt;
  bool integer = false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Node* maker = dequantizer(quantized, node.inputs[i]);
    integer |= maker != nullptr;
    if (maker != nullptr && Rounding(quantized, *maker).is_activation()) {
      layer.inputs.emplace(i, Rounding(quantized, *maker));
    } else if (RuntimeValue stored = constant_value(quantized, node.inputs[i]);
               !stored.is_absent()) {
      layer.weights.emplace(i, std::move(stored));
    }
  }
  if (!integer) return std::nullopt;
  layer.output = fused_output(reference, layer.node);
  if (layer.output != original.output(0))
    layer.clamp = clamp_of(reference, reference.node(reference.value(layer.output).producer));
  layer.own_output = rounding_behind(quantized, fused_output(quantized, id));
  return layer;
}

at::Tensor clamped(const Layer& layer, const at::Tensor& tensor) {
  return layer.clamp ? at::clamp(tensor, layer.clamp->low, layer.clamp->high) : tensor;
}

// The channels of a layer's input or output first, everything else behind.
at::Tensor by_channel(const Node& node, const at::Tensor& tensor) {
  if (tensor.dim() < 2) return tensor.reshape({1, -1});
  const bool images = node.kind == OpKind::kConv || node.kind == OpKind::kConvTranspose;
  return tensor.transpose(0, images ? 1 : -1).flatten(1);
}

void add_peaks(const Node& node, const at::Tensor& input, std::vector<float>& peaks) {
  if (input.numel() == 0 || !at::isFloatingType(input.scalar_type())) return;
  const at::Tensor largest = by_channel(node, input.abs()).amax(1).to(at::kFloat).contiguous();
  if (peaks.empty()) peaks.assign(static_cast<size_t>(largest.numel()), 0.0f);
  if (peaks.size() != static_cast<size_t>(largest.numel())) return;
  const float* found = largest.data_ptr<float>();
  for (size_t c = 0; c < peaks.size(); ++c) peaks[c] = std::max(peaks[c], found[c]);
}

// Sums of squares, one a channel; NaN counts as infinite.
using ChannelSquares = std::vector<double>;

ChannelSquares squares_of(const Node& node, const at::Tensor& tensor) {
  const at::Tensor sums =
      by_channel(node, tensor.to(at::kFloat).square()).sum(1).to(at::kDouble).contiguous();
  const double* found = sums.data_ptr<double>();
  ChannelSquares squares(found, found + sums.numel());
  for (double& sum : squares)
    if (std::isnan(sum)) sum = INFINITY;
  return squares;
}

void add(const ChannelSquares& from, ChannelSquares& into) {
  if (into.empty()) into.assign(from.size(), 0.0);
  // Another number of channels in another sample: all of it in one.
  for (size_t c = 0; c < from.size(); ++c) into[std::min(c, into.size() - 1)] += from[c];
}

struct LayerSums {
  ChannelSquares signal;
  ChannelSquares weight;
  ChannelSquares input;
  ChannelSquares local;
  ChannelSquares own_output;
  double network = 0;
  double network_signal = 0;
  std::vector<float> input_peaks;
};

double total(const ChannelSquares& squares) {
  return std::accumulate(squares.begin(), squares.end(), 0.0);
}

double mean_share(const ChannelSquares& noise, const ChannelSquares& signal) {
  double sum = 0;
  size_t channels = 0;
  for (size_t c = 0; c < std::min(noise.size(), signal.size()); ++c) {
    if (!(signal[c] > 0)) continue;
    sum += std::min(1.0, noise[c] / signal[c]);
    ++channels;
  }
  return channels > 0 ? sum / static_cast<double>(channels) : 0;
}

// The layer again with what it reads rounded, against what it gives in float.
void measure(const Layer& layer, const Node& node, const std::vector<RuntimeValue>& inputs,
             const at::Tensor& wanted, LayerSums& sums) {
  std::vector<RuntimeValue> rounded = inputs;
  std::vector<RuntimeValue> stored = inputs;
  for (const auto& [i, rounding] : layer.inputs)
    if (i < inputs.size() && inputs[i].is_tensor()) rounded[i] = rounding(inputs[i]);
  for (const auto& [i, weight] : layer.weights) {
    if (i >= stored.size()) stored.resize(i + 1);  // a bias that only the quantized node has
    stored[i] = weight;
  }
  std::vector<RuntimeValue> both = stored;
  for (const auto& [i, rounding] : layer.inputs)
    if (i < inputs.size()) both[i] = rounded[i];
  const auto noise = [&](const at::Tensor& got) { return squares_of(node, got - wanted); };
  const auto computed = [&](const std::vector<RuntimeValue>& read) {
    return noise(clamped(layer, call_op(node, read).at(0).tensor));
  };
  add(squares_of(node, wanted), sums.signal);
  if (!layer.weights.empty()) add(computed(stored), sums.weight);
  if (!layer.inputs.empty()) add(computed(rounded), sums.input);
  // With one kind of rounding alone, that is all there is.
  const bool one = layer.weights.empty() || layer.inputs.empty();
  add(one ? (layer.weights.empty() ? sums.input : sums.weight) : computed(both), sums.local);
  if (layer.own_output)
    add(noise((*layer.own_output)(RuntimeValue(wanted, DType::kFloat32)).tensor), sums.own_output);
}

void merge(const LayerSums& from, LayerSums& into) {
  add(from.signal, into.signal);
  add(from.weight, into.weight);
  add(from.input, into.input);
  add(from.local, into.local);
  add(from.own_output, into.own_output);
  into.network += from.network;
  into.network_signal += from.network_signal;
  if (into.input_peaks.empty()) into.input_peaks.assign(from.input_peaks.size(), 0.0f);
  for (size_t c = 0; c < std::min(into.input_peaks.size(), from.input_peaks.size()); ++c)
    into.input_peaks[c] = std::max(into.input_peaks[c], from.input_peaks[c]);
}

void fill(const LayerSums& sums, LayerError& error) {
  error.signal = total(sums.signal);
  error.weight = total(sums.weight);
  error.input = total(sums.input);
  error.local = total(sums.local);
  error.own_output = total(sums.own_output);
  error.network = sums.network;
  error.network_signal = sums.network_signal;
  error.by_channel = {mean_share(sums.weight, sums.signal), mean_share(sums.input, sums.signal),
                      mean_share(sums.local, sums.signal),
                      mean_share(sums.own_output, sums.signal)};
  error.input_peaks = sums.input_peaks;
}

}  // namespace

ValueId before_moves(const Graph& graph, ValueId value) {
  for (NodeId producer = value.valid() ? graph.value(value).producer : NodeId{};
       producer.valid() && op_row(graph.node(producer).kind).keeps_quantization;
       producer = value.valid() ? graph.value(value).producer : NodeId{})
    value = graph.node(producer).input(0);
  return value;
}

double ratio_db(double signal, double noise) {
  if (noise == 0) return INFINITY;
  return signal == 0 ? -INFINITY : 10 * std::log10(signal / noise);
}

double LayerError::weight_db() const { return ratio_db(signal, weight); }
double LayerError::input_db() const { return ratio_db(signal, input); }
double LayerError::local_db() const { return ratio_db(signal, local); }
double LayerError::own_output_db() const { return ratio_db(signal, own_output); }
double LayerError::network_db() const { return ratio_db(network_signal, network); }

std::vector<LayerError> local_errors(const Graph& reference, const Graph& quantized,
                                     const SampleSource& source, const SampleRunOptions& options) {
  std::vector<Layer> layers;
  for (const NodeId id : quantized.order())
    if (auto layer = layer_of(reference, quantized, id)) layers.push_back(std::move(*layer));
  const Interpreter floats(reference);
  const Interpreter integers(quantized);
  std::map<ValueId, size_t> by_own_output;  // of the reference's nodes
  std::map<ValueId, size_t> by_output;      // fused, of the reference
  std::map<ValueId, size_t> by_output_in_quantized;
  for (size_t i = 0; i < layers.size(); ++i) {
    by_own_output[reference.node(layers[i].node).output(0)] = i;
    by_output[layers[i].output] = i;
    by_output_in_quantized[fused_output(quantized, layers[i].node)] = i;
  }

  std::vector<std::vector<LayerSums>> results(source.count);
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    std::vector<LayerSums>& found = results[sample];
    found.resize(layers.size());
    std::vector<at::Tensor> kept(layers.size());
    RunOptions run;
    run.check = options.check;
    run.compute =
        [&](const Node& node,
            const std::vector<RuntimeValue>& read) -> std::optional<std::vector<RuntimeValue>> {
      const auto at = by_own_output.find(node.output(0));
      if (at == by_own_output.end()) return std::nullopt;
      const Layer& layer = layers[at->second];
      std::vector<RuntimeValue> computed = call_op(node, read);
      if (!computed.empty() && computed[0].is_tensor()) {
        measure(layer, node, read, clamped(layer, computed[0].tensor), found[at->second]);
        if (!read.empty() && read[0].is_tensor())
          add_peaks(node, read[0].tensor, found[at->second].input_peaks);
      }
      return computed;
    };
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      const auto at = by_output.find(id);
      if (at == by_output.end() || !value.is_tensor()) return;
      kept[at->second] = sample_of(value.tensor);
    };
    std::vector<RuntimeValue> outputs = floats.run(inputs, run);
    RunOptions second;
    second.check = options.check;
    second.on_value = [&](ValueId id, RuntimeValue& value) {
      const auto at = by_output_in_quantized.find(id);
      if (at == by_output_in_quantized.end() || !value.is_tensor()) return;
      const at::Tensor got = sample_of(value.tensor);
      at::Tensor& wanted = kept[at->second];
      if (!wanted.defined() || wanted.numel() != got.numel()) return;
      const ErrorSums sums = error_sums(wanted, got);
      found[at->second].network = sums.noise;
      found[at->second].network_signal = sums.signal;
      wanted = at::Tensor();
    };
    integers.run(inputs, second);
    return outputs;
  };
  for_each_sample(reference, source, options, work);

  std::vector<LayerError> errors(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const Node& node = reference.node(layers[i].node);
    errors[i].node = layers[i].node;
    errors[i].name = node.name;
    errors[i].type = std::string(node.type_name());
    errors[i].output = reference.value(layers[i].output).name;
    LayerSums sums;
    for (const std::vector<LayerSums>& result : results) merge(result[i], sums);
    fill(sums, errors[i]);
  }
  for (const Layer& layer : layers)
    for (const auto& [input, rounding] : layer.inputs) {
      const auto at =
          by_output.find(before_moves(reference, reference.node(layer.node).input(input)));
      if (at != by_output.end()) errors[at->second].output_is_read = true;
    }
  return errors;
}

}  // namespace lathe
