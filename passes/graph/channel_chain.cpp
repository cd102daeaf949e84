#include "graph/channel_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/activation_fusion.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Engines round sums on their way to a quantizer, in steps of its grid.
constexpr double kRoundingSteps = 1e-3;

bool is_plain_gemm(const Node& node) {
  return node.attributes.float_or("alpha", 1) == 1 && node.attributes.float_or("beta", 1) == 1 &&
         node.attributes.int_or("transA", 0) == 0;
}

// What the node's input lies between: a quantized one within its type.
ChannelRange input_range(const Graph& graph, ValueId input) {
  const Node* dq = dequantizer(graph, input);
  if (dq == nullptr) return {-kInfinity, kInfinity};
  const auto params = constant_params(graph, *dq);
  if (!params || params->scales.size() != 1 || !is_eight_bits(params->dtype))
    return {-kInfinity, kInfinity};
  const double least = params->dtype == DType::kUInt8 ? 0 : -128;
  const double scale = params->scales[0];
  return {(least - params->zero_points[0]) * scale,
          (least + 255 - params->zero_points[0]) * scale};
}

// A sum of weights times numbers of a range; padding puts zeros in their place.
ChannelRange weighted(double weight, ChannelRange range, bool is_padded) {
  if (weight == 0) return {0, 0};
  ChannelRange product{std::min(weight * range.low, weight * range.high),
                       std::max(weight * range.low, weight * range.high)};
  if (is_padded) product = {std::min(product.low, 0.0), std::max(product.high, 0.0)};
  return product;
}

std::optional<std::vector<ChannelRange>> ranges_of(const Graph& graph, const Node& node,
                                                   const ChainWeights& weights,
                                                   const std::vector<ChannelRange>& inputs) {
  const auto bias = chain_bias(graph, node, weights.channels);
  if (!bias) return std::nullopt;
  const bool is_padded = node.kind == OpKind::kConv && has_padding(node);
  std::vector<ChannelRange> ranges;
  for (int64_t c = 0; c < weights.channels; ++c) {
    ChannelRange sum{(*bias)[static_cast<size_t>(c)], (*bias)[static_cast<size_t>(c)]};
    const ChannelRange& input =
        inputs.size() == 1 ? inputs[0] : inputs[static_cast<size_t>(c)];
    for (int64_t i = 0; i < weights.depth; ++i)
      for (int64_t t = 0; t < weights.taps; ++t) {
        const ChannelRange term = weighted(weights.at(c, i, t), input, is_padded);
        sum.low += term.low;
        sum.high += term.high;
      }
    ranges.push_back(sum);
  }
  return ranges;
}

void clamp(std::vector<ChannelRange>& ranges, double low, double high) {
  for (ChannelRange& range : ranges)
    range = {std::clamp(range.low, low, high), std::clamp(range.high, low, high)};
}

// The grid's number that both ends round to, with what may come of rounding on the way.
bool quantize_ranges(const Graph& graph, const Node& node, std::vector<ChannelRange>& ranges) {
  const auto params = constant_params(graph, node);
  if (!params || params->scales.size() != 1 || !is_eight_bits(params->dtype)) return false;
  const double scale = params->scales[0];
  const int32_t zero = params->zero_points[0];
  const int32_t least = params->dtype == DType::kUInt8 ? 0 : -128;
  const auto on_grid = [&](double x) {
    if (std::isinf(x)) return x;
    const auto q = std::clamp(std::nearbyint(x / scale) + zero, double{0} + least,
                              double{255} + least);
    return (q - zero) * scale;
  };
  const double highest = (least + 255 - zero) * scale;
  const double lowest = (least - zero) * scale;
  for (ChannelRange& range : ranges) {
    range = {on_grid(range.low - kRoundingSteps * scale),
             on_grid(range.high + kRoundingSteps * scale)};
    range = {std::clamp(range.low, lowest, highest), std::clamp(range.high, lowest, highest)};
  }
  return true;
}

bool is_depthwise(const Graph& graph, const Node& node, size_t channels) {
  const auto weights = chain_weights(graph, node);
  return node.kind == OpKind::kConv && weights && weights->depth == 1 && channels > 1 &&
         node.attributes.int_or("group", 1) == static_cast<int64_t>(channels) &&
         weights->channels == static_cast<int64_t>(channels);
}

// Exactly one number a channel.
bool is_row(const Graph& graph, ValueId id, size_t channels) {
  const ValueType& type = graph.value(id).type;
  if (!type.dims || type.dims->size() < 2) return false;
  if (!(*type.dims)[1].known() || (*type.dims)[1].size != static_cast<int64_t>(channels))
    return false;
  return std::all_of(type.dims->begin() + 2, type.dims->end(),
                     [](const Dim& dim) { return dim.known() && dim.size == 1; });
}

// Passes the channels on; false: it does not.
bool pass_on(const Graph& graph, const Node& node, std::vector<ChannelRange>& ranges) {
  switch (node.kind) {
    case OpKind::kRelu: clamp(ranges, 0, kInfinity); return true;
    case OpKind::kClip: {
      const auto bounds = clamp_of(graph, node);
      if (bounds) clamp(ranges, bounds->low, bounds->high);
      return bounds.has_value();
    }
    case OpKind::kQuantizeLinear: return quantize_ranges(graph, node, ranges);
    case OpKind::kDequantizeLinear: {
      const auto params = constant_params(graph, node);
      return params && params->scales.size() == 1;
    }
    case OpKind::kMaxPool:
    case OpKind::kGlobalAveragePool:
    case OpKind::kGlobalMaxPool: return !node.output(1).valid();
    case OpKind::kAveragePool:
      if (node.attributes.int_or("count_include_pad", 0) != 0 && has_padding(node))
        for (ChannelRange& range : ranges)
          range = {std::min(range.low, 0.0), std::max(range.high, 0.0)};
      return true;
    case OpKind::kFlatten:
    case OpKind::kReshape:
      return is_row(graph, node.input(0), ranges.size()) &&
             is_row(graph, node.output(0), ranges.size());
    case OpKind::kConv: {
      if (!is_depthwise(graph, node, ranges.size())) return false;
      const auto found = ranges_of(graph, node, *chain_weights(graph, node), ranges);
      if (found) ranges = *found;
      return found.has_value();
    }
    default: return false;
  }
}

}  // namespace

double ChainWeights::at(int64_t channel, int64_t input, int64_t tap) const {
  const int64_t index = out_axis == 0 ? (channel * depth + input) * taps + tap
                                      : (input * channels + channel) * taps + tap;
  if (scales.empty()) return values.values<float>()[static_cast<size_t>(index)];
  const double scale = scales[scales.size() == 1 ? 0 : static_cast<size_t>(channel)];
  return scale * values.values<int8_t>()[static_cast<size_t>(index)];
}

std::optional<ChainWeights> chain_weights(const Graph& graph, const Node& node) {
  const bool is_gemm = node.kind == OpKind::kGemm;
  if (node.kind != OpKind::kConv && !(is_gemm && is_plain_gemm(node))) return std::nullopt;
  ChainWeights weights;
  const bool is_turned = is_gemm && node.attributes.int_or("transB", 0) == 0;
  weights.out_axis = is_turned ? 1 : 0;
  weights.in_axis = is_turned ? 0 : 1;
  if (const Tensor* floats = graph.constant(node.input(1))) {
    if (floats->dtype() != DType::kFloat32) return std::nullopt;
    weights.values = *floats;
  } else {
    QuantizedWeight quantized = quantized_weight(graph, node, 1, weights.out_axis);
    if (!quantized.problem.empty()) return std::nullopt;
    weights.values = std::move(quantized.codes);
    weights.scales = std::move(quantized.scales);
  }
  const Shape& shape = weights.values.shape();
  if (shape.size() < 2 || (is_gemm && shape.size() != 2)) return std::nullopt;
  weights.channels = shape[static_cast<size_t>(weights.out_axis)];
  weights.depth = shape[static_cast<size_t>(weights.in_axis)];
  for (size_t i = 2; i < shape.size(); ++i) weights.taps *= shape[i];
  return weights;
}

std::optional<std::vector<double>> chain_bias(const Graph& graph, const Node& node,
                                              int64_t channels) {
  const ValueId id = node.input(2);
  if (!id.valid()) return std::vector<double>(static_cast<size_t>(channels), 0.0);
  if (const Tensor* floats = graph.constant(id)) {
    if (floats->numel() != channels || floats->dtype() != DType::kFloat32) return std::nullopt;
    return floats->to_double();
  }
  const Node* dq = dequantizer(graph, id);
  const auto params = dq != nullptr ? constant_params(graph, *dq) : std::nullopt;
  const Tensor* codes = dq != nullptr ? graph.constant(dq->input(0)) : nullptr;
  if (codes == nullptr || !params || codes->numel() != channels || !is_symmetric(*params))
    return std::nullopt;
  std::vector<double> reals = codes->to_double();
  for (size_t c = 0; c < reals.size(); ++c)
    reals[c] *= double{params->scales[params->scales.size() == 1 ? 0 : c]};
  return reals;
}

bool has_padding(const Node& node) {
  if (node.attributes.string_or("auto_pad", "NOTSET") != "NOTSET") return true;
  const std::vector<int64_t> pads = node.attributes.ints_or("pads", {});
  return std::ranges::any_of(pads, [](int64_t pad) { return pad != 0; });
}

std::optional<ChannelChain> channel_chain(const Graph& graph, NodeId producer) {
  const Node& first = graph.node(producer);
  const auto weights = chain_weights(graph, first);
  if (!weights || (first.kind == OpKind::kConv && first.attributes.int_or("group", 1) != 1))
    return std::nullopt;
  auto ranges = ranges_of(graph, first, *weights, {input_range(graph, first.input(0))});
  if (!ranges) return std::nullopt;
  ChannelChain chain{producer, {}, {}, std::move(*ranges)};
  ValueId value = first.output(0);
  for (;;) {
    const auto user = graph.single_user(value);
    if (!user) return std::nullopt;
    const Node& node = graph.node(*user);
    if (node.input(0) != value) return std::nullopt;
    const auto reader = chain_weights(graph, node);
    const bool adds_up =
        reader && reader->depth == weights->channels &&
        (node.kind == OpKind::kGemm ? is_row(graph, value, chain.ranges.size())
                                    : node.attributes.int_or("group", 1) == 1);
    if (adds_up) {
      chain.consumer = *user;
      return chain;
    }
    if (!pass_on(graph, node, chain.ranges)) return std::nullopt;
    chain.between.push_back(*user);
    value = node.output(0);
  }
}

}  // namespace lathe
