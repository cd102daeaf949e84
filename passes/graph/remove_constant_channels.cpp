#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/channel_chain.h"
#include "graph/graph_passes.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

// Of integer biases: how far from an integer what is added may be.
constexpr double kMostApart = 1e-3;

Tensor kept(const Tensor& tensor, size_t axis, const std::vector<int64_t>& indices) {
  Shape shape = tensor.shape();
  int64_t outer = 1;
  auto inner = static_cast<int64_t>(dtype_bits(tensor.dtype()) / 8);
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  const int64_t count = shape[axis];
  shape[axis] = static_cast<int64_t>(indices.size());
  std::vector<std::byte> bytes;
  bytes.reserve(static_cast<size_t>(outer * inner) * indices.size());
  const auto from = tensor.bytes();
  for (int64_t o = 0; o < outer; ++o)
    for (const int64_t index : indices) {
      const auto begin = from.begin() + (o * count + index) * inner;
      bytes.insert(bytes.end(), begin, begin + inner);
    }
  return Tensor::from_bytes(tensor.dtype(), std::move(shape), std::move(bytes));
}

// Input `index` of a node with fewer channels along `axis`; what others read stays.
void keep_input(Graph& graph, NodeId id, size_t index, size_t axis,
                const std::vector<int64_t>& indices) {
  const ValueId value = graph.node(id).input(index);
  if (!value.valid()) return;
  if (const Tensor* constant = graph.constant(value)) {
    graph.replace_input(id, index, graph.add_constant(graph.value(value).name + ".kept",
                                                      kept(*constant, axis, indices)));
    return;
  }
  const Node dq = *dequantizer(graph, value);
  const size_t rank = graph.constant(dq.input(0))->rank();
  const int64_t along = dq.attributes.int_or("axis", 1);
  const auto from_front =
      static_cast<size_t>(along < 0 ? along + static_cast<int64_t>(rank) : along);
  const bool is_along = rank == 1 || from_front == axis;
  std::vector<ValueId> inputs;
  for (size_t i = 0; i < dq.inputs.size(); ++i) {
    const Tensor& tensor = *graph.constant(dq.input(i));
    const bool has_channels = i == 0 || (is_along && tensor.numel() > 1);
    inputs.push_back(
        has_channels ? graph.add_constant(graph.value(dq.input(i)).name + ".kept",
                                          kept(tensor, i == 0 ? axis : 0, indices))
                     : dq.input(i));
  }
  graph.replace_input(id, index,
                      graph.add_op(OpKind::kDequantizeLinear, std::move(inputs),
                                   graph.value(value).name + ".kept", dq.attributes));
}

// What the constants add to each of the consumer's channels.
std::vector<double> added_sums(const ChainWeights& weights, const std::vector<ChannelRange>& ranges,
                               const std::vector<int64_t>& constant) {
  std::vector<double> sums(static_cast<size_t>(weights.channels), 0.0);
  for (const int64_t channel : constant) {
    const double value = ranges[static_cast<size_t>(channel)].low;
    if (value == 0) continue;
    for (int64_t c = 0; c < weights.channels; ++c)
      for (int64_t t = 0; t < weights.taps; ++t)
        sums[static_cast<size_t>(c)] += value * weights.at(c, channel, t);
  }
  return sums;
}

// The consumer's bias with the sums in it; nullopt: it has none, or no integers are those sums.
std::optional<Tensor> shifted_bias(const Graph& graph, const Node& consumer,
                                   const std::vector<double>& sums) {
  const ValueId id = consumer.input(2);
  if (!id.valid()) return std::nullopt;
  if (const Tensor* floats = graph.constant(id)) {
    std::vector<float> bias;
    const std::vector<double> before = floats->to_double();
    for (size_t c = 0; c < sums.size(); ++c)
      bias.push_back(static_cast<float>(before[c] + sums[c]));
    return Tensor::of<float>(floats->shape(), bias);
  }
  const Node& dq = *dequantizer(graph, id);
  const Tensor& codes = *graph.constant(dq.input(0));
  const QuantParams params = *constant_params(graph, dq);
  if (codes.dtype() != DType::kInt32) return std::nullopt;
  std::vector<int32_t> bias;
  for (size_t c = 0; c < sums.size(); ++c) {
    const double count = sums[c] / double{params.scales[params.scales.size() == 1 ? 0 : c]};
    const double whole = codes.values<int32_t>()[c] + std::nearbyint(count);
    if (std::fabs(count - std::nearbyint(count)) > kMostApart || std::fabs(whole) > 2e9)
      return std::nullopt;
    bias.push_back(static_cast<int32_t>(whole));
  }
  return Tensor::of<int32_t>(codes.shape(), bias);
}

void set_bias(Graph& graph, NodeId id, const Tensor& bias) {
  const ValueId value = graph.node(id).input(2);
  if (graph.constant(value) != nullptr) {
    graph.replace_input(id, 2, graph.add_constant(graph.value(value).name + ".shifted", bias));
    return;
  }
  const Node dq = *dequantizer(graph, value);
  std::vector<ValueId> inputs = dq.inputs;
  inputs[0] = graph.add_constant(graph.value(dq.input(0)).name + ".shifted", bias);
  graph.replace_input(id, 2,
                      graph.add_op(OpKind::kDequantizeLinear, std::move(inputs),
                                   graph.value(value).name + ".shifted", dq.attributes));
}

void forget_shape(Graph& graph, NodeId id) {
  for (const ValueId output : graph.node(id).outputs)
    if (output.valid()) graph.edit_type(output).dims.reset();
}

// A constant target that names the channels.
bool can_reshape(const Graph& graph, const Node& node) {
  return node.kind != OpKind::kReshape || graph.constant(node.input(1)) != nullptr;
}

void keep_channels(Graph& graph, const ChannelChain& chain, const std::vector<int64_t>& indices) {
  const auto first = *chain_weights(graph, graph.node(chain.producer));
  keep_input(graph, chain.producer, 1, static_cast<size_t>(first.out_axis), indices);
  keep_input(graph, chain.producer, 2, 0, indices);
  forget_shape(graph, chain.producer);
  const auto count = static_cast<int64_t>(indices.size());
  for (const NodeId id : chain.between) {
    const OpKind kind = graph.node(id).kind;
    if (kind == OpKind::kConv) {
      keep_input(graph, id, 1, 0, indices);
      keep_input(graph, id, 2, 0, indices);
      graph.edit(id).attributes.set("group", count);
    } else if (kind == OpKind::kReshape) {
      const std::vector<Dim> dims = *graph.value(graph.node(id).output(0)).type.dims;
      std::vector<int64_t> target{dims[0].known() ? dims[0].size : 0, count};
      target.resize(dims.size(), 1);
      graph.replace_input(id, 1, graph.add_constant("channels", Tensor::vector(target)));
      graph.edit(id).attributes.set("allowzero", int64_t{0});
    }
    forget_shape(graph, id);
  }
  const auto last = *chain_weights(graph, graph.node(chain.consumer));
  keep_input(graph, chain.consumer, 1, static_cast<size_t>(last.in_axis), indices);
}

bool remove_of(Graph& graph, NodeId producer) {
  const auto chain = channel_chain(graph, producer);
  if (!chain) return false;
  for (const NodeId id : chain->between)
    if (!can_reshape(graph, graph.node(id))) return false;
  const Node& consumer = graph.node(chain->consumer);
  const bool is_padded = consumer.kind == OpKind::kConv && has_padding(consumer);
  const bool has_bias = consumer.input(2).valid();
  std::vector<int64_t> constant;
  std::vector<int64_t> others;
  for (size_t c = 0; c < chain->ranges.size(); ++c) {
    const ChannelRange& range = chain->ranges[c];
    const bool is_constant = range.low == range.high && std::isfinite(range.low);
    // Where padding has zeros, a constant is none.
    const bool may_go = is_constant && (range.low == 0 || (!is_padded && has_bias));
    (may_go ? constant : others).push_back(static_cast<int64_t>(c));
  }
  if (others.empty()) {
    others.push_back(constant.front());
    constant.erase(constant.begin());
  }
  if (constant.empty()) return false;
  const auto sums = added_sums(*chain_weights(graph, consumer), chain->ranges, constant);
  if (std::ranges::any_of(sums, [](double sum) { return sum != 0; })) {
    const auto bias = shifted_bias(graph, consumer, sums);
    if (!bias) return false;
    set_bias(graph, chain->consumer, *bias);
  }
  keep_channels(graph, *chain, others);
  return true;
}

}  // namespace

int remove_constant_channels(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) changes += remove_of(graph, id) ? 1 : 0;
  if (changes > 0) infer_shapes(graph);
  return changes;
}

}  // namespace lathe
