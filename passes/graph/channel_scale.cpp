#include "graph/channel_scale.h"

#include "ir/error.h"
#include "ir/real_tensor.h"

namespace lathe {
namespace {

bool is_float_constant(const Graph& graph, ValueId id) {
  const Tensor* constant = graph.constant(id);
  return constant != nullptr && is_floating(constant->dtype());
}

// Which output channel a weight element belongs to.
struct ChannelOf {
  int64_t inner = 1;  // elements per index of the channel axis
  int64_t axis_size = 1;
  int64_t outer_per_group = 0;  // ConvTranspose: input channels per group; 0 = not grouped

  int64_t operator()(int64_t element) const {
    const int64_t within = element / inner % axis_size;
    if (outer_per_group == 0) return within;
    return element / (inner * axis_size) / outer_per_group * axis_size + within;
  }
};

ChannelOf channel_of(const Node& node, const Shape& weight) {
  ChannelOf of;
  size_t axis = 0;
  if (node.kind == OpKind::kGemm) axis = node.attributes.int_or("transB", 0) != 0 ? 0 : 1;
  if (node.kind == OpKind::kConvTranspose) {
    axis = 1;
    of.outer_per_group = weight[0] / node.attributes.int_or("group", 1);
  }
  of.axis_size = weight[axis];
  for (size_t i = axis + 1; i < weight.size(); ++i) of.inner *= weight[i];
  return of;
}

}  // namespace

std::optional<int64_t> affine_channels(const Graph& graph, const Node& node) {
  const bool gemm = node.kind == OpKind::kGemm;
  if (!gemm && node.kind != OpKind::kConv && node.kind != OpKind::kConvTranspose) return {};
  if (!is_float_constant(graph, node.input(1))) return {};
  if (node.input(2).valid() && !is_float_constant(graph, node.input(2))) return {};
  if (gemm &&
      (node.attributes.float_or("alpha", 1) != 1 || node.attributes.float_or("beta", 1) != 1))
    return {};
  const Shape& weight = graph.constant(node.input(1))->shape();
  if (weight.size() < 2 || (gemm && weight.size() != 2)) return {};
  const int64_t group = node.attributes.int_or("group", 1);
  if (group < 1 || weight[0] % group != 0) return {};
  int64_t channels = weight[0];
  if (node.kind == OpKind::kConvTranspose) channels = weight[1] * group;
  if (gemm && node.attributes.int_or("transB", 0) == 0) channels = weight[1];
  if (const Tensor* bias = graph.constant(node.input(2))) {
    const bool fits =
        bias->numel() == channels && bias->rank() >= 1 && bias->shape().back() == channels;
    if (!fits && bias->numel() != 1) return {};
  }
  return channels;
}

void scale_channels(Graph& graph, NodeId producer, const std::vector<double>& scale,
                    const std::vector<double>& shift) {
  const Node& node = graph.node(producer);
  const Tensor weight = *graph.constant(node.input(1));
  const ChannelOf of = channel_of(node, weight.shape());
  std::vector<double> values = weight.to_double();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] *= scale[static_cast<size_t>(of(static_cast<int64_t>(i)))];
  std::vector<double> bias(scale.size(), 0.0);
  if (const Tensor* old = graph.constant(node.input(2))) {
    const std::vector<double> read = old->to_double();
    for (size_t c = 0; c < bias.size(); ++c) bias[c] = read.size() == 1 ? read[0] : read[c];
  }
  for (size_t c = 0; c < bias.size(); ++c) bias[c] = bias[c] * scale[c] + shift[c];

  const std::string stem = graph.value(node.input(1)).name;
  const std::string bias_stem =
      node.input(2).valid() ? graph.value(node.input(2)).name : node.name + "_bias";
  const ValueId new_weight = graph.add_constant(
      graph.fresh_name(stem), real_tensor(weight.dtype(), weight.shape(), values));
  const ValueId new_bias =
      graph.add_constant(graph.fresh_name(bias_stem),
                         real_tensor(weight.dtype(), {static_cast<int64_t>(bias.size())}, bias));
  const bool has_bias = node.inputs.size() > 2;
  graph.replace_input(producer, 1, new_weight);
  if (has_bias)
    graph.replace_input(producer, 2, new_bias);
  else
    graph.add_node_input(producer, new_bias);
}

void supersede(Graph& graph, ValueId from, ValueId to) {
  const std::string name = graph.value(from).name;
  graph.replace_all_uses(from, to);
  graph.rename(from, graph.fresh_name(name + "_fused"));
  graph.rename(to, name);
  graph.edit_type(to) = graph.value(from).type;
}

std::optional<std::vector<double>> per_channel_values(const Tensor& constant, int64_t channels,
                                                      size_t rank) {
  if (!is_floating(constant.dtype())) return {};
  const Shape& shape = constant.shape();
  if (shape.size() > rank) return {};
  const auto repeated = [&] {
    return std::vector<double>(static_cast<size_t>(channels), constant.to_double()[0]);
  };
  if (constant.numel() == 1) return repeated();
  // Aligned to the right: the channel axis is `rank - 2` places from the end.
  const size_t after_channel = rank - 2;
  if (shape.size() < after_channel + 1) return {};
  const size_t channel_axis = shape.size() - 1 - after_channel;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != (i == channel_axis ? channels : 1)) return {};
  return constant.to_double();
}

}  // namespace lathe
