#include "layers/linear_layer.h"

#include <ATen/ATen.h>

#include "ir/real_tensor.h"
#include "layers/per_channel.h"

namespace lathe {
namespace {

constexpr int64_t kMaxUnknowns = 8192;

const Tensor* floats(const Graph& graph, ValueId id) {
  const Tensor* tensor = id.valid() ? graph.constant(id) : nullptr;
  return tensor != nullptr && tensor->dtype() == DType::kFloat32 ? tensor : nullptr;
}

// Along the last axis.
bool holds_biases(const Tensor* constant, int64_t channels) {
  return constant != nullptr && constant->rank() > 0 &&
         is_per_channel(*constant, constant->rank(), constant->rank() - 1, channels, false);
}

// Bias of Conv, ConvTranspose and Gemm: absent, or one number a channel.
bool place_own_bias(const Graph& graph, LinearLayer& layer) {
  const ValueId bias = graph.node(layer.node).input(2);
  if (bias.valid() && !holds_biases(floats(graph, bias), layer.channels())) return false;
  layer.bias_node = layer.node;
  layer.bias_input = 2;
  return true;
}

// A MatMul's bias is added behind it.
void place_added_bias(const Graph& graph, LinearLayer& layer) {
  const ValueId output = graph.node(layer.node).output(0);
  const std::optional<NodeId> user = graph.single_user(output);
  if (!user || graph.node(*user).kind != OpKind::kAdd) return;
  const size_t other = graph.node(*user).input(0) == output ? 1 : 0;
  if (!holds_biases(floats(graph, graph.node(*user).input(other)), layer.channels())) return;
  layer.bias_node = *user;
  layer.bias_input = other;
}

bool shape_conv(const Graph& graph, LinearLayer& layer) {
  const Node& node = graph.node(layer.node);
  const Shape& shape = graph.constant(layer.weight)->shape();
  layer.groups = node.attributes.int_or("group", 1);
  if (shape.size() < 3 || shape.size() > 5 || layer.groups < 1) return false;
  const bool transposed = node.kind == OpKind::kConvTranspose;
  if (shape[0] % layer.groups != 0) return false;
  layer.outputs = transposed ? shape[1] : shape[0] / layer.groups;
  layer.kernel.assign(shape.begin() + 2, shape.end());
  layer.inputs = transposed ? shape[0] / layer.groups : shape[1];
  for (const int64_t size : layer.kernel) layer.inputs *= size;
  return place_own_bias(graph, layer);
}

bool shape_matrix(const Graph& graph, LinearLayer& layer) {
  const Node& node = graph.node(layer.node);
  const Shape& shape = graph.constant(layer.weight)->shape();
  if (shape.size() != 2) return false;
  const bool gemm = node.kind == OpKind::kGemm;
  layer.input_major = !gemm || node.attributes.int_or("transB", 0) == 0;
  layer.inputs = shape[layer.input_major ? 0 : 1];
  layer.outputs = shape[layer.input_major ? 1 : 0];
  if (gemm &&
      (node.attributes.int_or("transA", 0) != 0 || node.attributes.float_or("alpha", 1) != 1 ||
       node.attributes.float_or("beta", 1) != 1))
    return false;
  if (gemm) return place_own_bias(graph, layer);
  place_added_bias(graph, layer);
  return true;
}

std::vector<double> numbers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

at::Tensor doubles_of(const Tensor& tensor, at::IntArrayRef shape) {
  std::vector<double> values = tensor.to_double();
  return at::from_blob(values.data(), shape, at::TensorOptions().dtype(at::kDouble)).clone();
}

}  // namespace

std::optional<LinearLayer> linear_layer(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const bool conv = node.kind == OpKind::kConv || node.kind == OpKind::kConvTranspose;
  if (!conv && node.kind != OpKind::kGemm && node.kind != OpKind::kMatMul) return std::nullopt;
  if (floats(graph, node.input(1)) == nullptr || !node.output(0).valid()) return std::nullopt;
  LinearLayer layer;
  layer.node = id;
  layer.input = node.input(0);
  layer.weight = node.input(1);
  layer.supported = conv ? shape_conv(graph, layer) : shape_matrix(graph, layer);
  return layer;
}

bool too_many_unknowns(const LinearLayer& layer) {
  return layer.inputs > kMaxUnknowns ||
         layer.groups > kMaxUnknowns * kMaxUnknowns / (layer.inputs * layer.inputs + 1);
}

at::Tensor as_layer_weights(const LinearLayer& layer, const Tensor& values) {
  if (!layer.input_major) return doubles_of(values, {layer.groups, layer.outputs, layer.inputs});
  return doubles_of(values, {1, layer.inputs, layer.outputs}).transpose(1, 2).contiguous();
}

at::Tensor layer_weights(const Graph& graph, const LinearLayer& layer) {
  return as_layer_weights(layer, *graph.constant(graph.node(layer.node).inputs[1]));
}

at::Tensor layer_bias(const Graph& graph, const LinearLayer& layer) {
  const Node& node = graph.node(layer.node);
  const Tensor* bias = node.kind == OpKind::kMatMul ? nullptr : graph.constant(node.input(2));
  const std::vector<int64_t> shape = {layer.groups, layer.outputs};
  return bias == nullptr ? at::zeros(shape, at::TensorOptions().dtype(at::kDouble))
                         : doubles_of(*bias, shape);
}

void store_constant(Graph& graph, NodeId node, size_t input, const std::vector<double>& values) {
  const ValueId id = graph.node(node).inputs[input];
  const Tensor tensor =
      real_tensor(graph.constant(id)->dtype(), graph.constant(id)->shape(), values);
  if (graph.value(id).users.size() == 1 && !graph.is_output(id)) {
    graph.set_constant(id, tensor);
  } else {
    const std::string name = graph.fresh_name(graph.value(id).name + "_fitted");
    graph.replace_input(node, input, graph.add_constant(name, tensor));
  }
}

void store_weights(Graph& graph, const LinearLayer& layer, const at::Tensor& weights) {
  store_constant(graph, layer.node, 1,
                 numbers(layer.input_major ? weights.transpose(1, 2) : weights));
}

void add_to_bias(Graph& graph, const LinearLayer& layer, const at::Tensor& shift) {
  std::vector<double> values = numbers(shift);
  const Node& node = graph.node(layer.bias_node);
  if (const Tensor* old = graph.constant(node.input(layer.bias_input)); old != nullptr) {
    const std::vector<double> was = old->to_double();
    for (size_t i = 0; i < values.size(); ++i) values[i] += was[i];
    store_constant(graph, layer.bias_node, layer.bias_input, values);
    return;
  }
  const ValueId constant = graph.add_constant(
      graph.fresh_name(node.name + "_bias"),
      real_tensor(DType::kFloat32, {static_cast<int64_t>(values.size())}, values));
  if (node.inputs.size() > layer.bias_input)
    graph.replace_input(layer.bias_node, layer.bias_input, constant);
  else
    graph.add_node_input(layer.bias_node, constant);
}

}  // namespace lathe
