#include <algorithm>
#include <cmath>
#include <iterator>

#include "ir/error.h"
#include "layers/linear_layer.h"
#include "ops/activation_fusion.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

struct ScaleAndZero {
  ValueId scale;
  ValueId zero_point;
};

Shape shape_of(const QuantParams& params) {
  return params.axis < 0 ? Shape{} : Shape{static_cast<int64_t>(params.scales.size())};
}

ValueId add_scale(Graph& graph, const std::string& stem, const QuantParams& params) {
  return graph.add_constant(stem + "_scale", Tensor::of<float>(shape_of(params), params.scales));
}

ScaleAndZero add_parameters(Graph& graph, const std::string& stem, const QuantParams& params) {
  return {add_scale(graph, stem, params),
          graph.add_constant(stem + "_zero_point",
                             integer_tensor(params.dtype, shape_of(params), params.zero_points))};
}

Attributes axis_attribute(const QuantParams& params) {
  Attributes attributes;
  if (params.axis >= 0) attributes.set("axis", params.axis);
  return attributes;
}

struct Insertion {
  ValueId value;
  bool everywhere = false;
};

void insert_for_value(Graph& graph, const PrecisionPlan& plan, const Insertion& insertion,
                      const QuantParams& params) {
  const ValueId id = insertion.value;
  const ValueType type = graph.value(id).type;
  const bool is_output = graph.is_output(id) && insertion.everywhere;
  const std::string name = graph.value(id).name;
  const std::vector<NodeId> users = graph.value(id).users;
  const ScaleAndZero shared = add_parameters(graph, name, params);
  const ValueId quantized =
      graph.add_value(name + "_quantized", tensor_type(params.dtype, type.dims));
  const ValueId dequantized = graph.add_value(name + "_dequantized", type);
  for (const NodeId user : users) {
    if (!insertion.everywhere && !plan.nodes.contains(user)) continue;
    for (size_t i = 0; i < graph.node(user).inputs.size(); ++i)
      if (graph.node(user).inputs[i] == id) graph.replace_input(user, i, dequantized);
    if (!insertion.everywhere) continue;
    for (size_t s = 0; s < graph.node(user).subgraphs.size(); ++s)
      for (size_t i = 0; i < graph.node(user).subgraphs[s].captures.size(); ++i)
        if (graph.node(user).subgraphs[s].captures[i] == id)
          graph.replace_capture(user, s, i, dequantized);
  }
  const auto add = [&](OpKind kind, ValueId from, ValueId to) {
    Node node;
    node.kind = kind;
    node.name = name + "_" + std::string(op_name(kind));
    node.inputs = {from, shared.scale, shared.zero_point};
    node.outputs = {to};
    graph.add_node(std::move(node));
  };
  add(OpKind::kQuantizeLinear, id, quantized);
  add(OpKind::kDequantizeLinear, quantized, dequantized);
  if (!is_output) return;
  std::vector<ValueId> outputs = graph.outputs();
  std::replace(outputs.begin(), outputs.end(), id, dequantized);
  graph.set_outputs(outputs);
  graph.rename(id, graph.fresh_name(name + "_float"));
  graph.rename(dequantized, name);
}

void insert_for_constant(Graph& graph, const WeightPlan& weight) {
  const ValueId id = graph.node(weight.node).inputs.at(weight.input);
  const std::string name = graph.value(id).name;
  Tensor constant = *graph.constant(id);
  // Of a bias only the channels count.
  if (weight.params.dtype == DType::kInt32) constant = constant.reshaped({constant.numel()});
  const Tensor integers = quantize_tensor(constant, weight.params, weight.reduce_range);
  const ValueId quantized = graph.add_constant(graph.fresh_name(name + "_quantized"), integers);
  std::vector<ValueId> inputs{quantized};
  if (weight.params.dtype == DType::kInt32) {
    // int32 has no zero point but 0: it need not be stored.
    inputs.push_back(add_scale(graph, name, weight.params));
  } else {
    const ScaleAndZero shared = add_parameters(graph, name, weight.params);
    inputs.insert(inputs.end(), {shared.scale, shared.zero_point});
  }
  // Of a weight that several layers read the names are numbered: ONNX Runtime takes no two nodes
  // of one name.
  const std::string base = name + "_dequantized";
  const std::string output = graph.fresh_name(base);
  const ValueId dequantized = graph.add_op(
      OpKind::kDequantizeLinear, inputs, output,
      axis_attribute(weight.params), name + "_DequantizeLinear" + output.substr(base.size()));
  graph.edit_type(dequantized) = tensor_type(DType::kFloat32, dims_of(integers.shape()));
  graph.replace_input(weight.node, weight.input, dequantized);
}

// What an Add behind a MatMul adds to each channel. ONNX Runtime makes one Gemm of the two before
// it looks for integers, and computes that in integers only where all of its inputs are.
std::optional<WeightPlan> added_bias(const Graph& graph, const PrecisionPlan& plan,
                                     const WeightPlan& weight) {
  const auto input = plan.values.find(graph.node(weight.node).inputs[0]);
  const auto layer = linear_layer(graph, weight.node);
  if (input == plan.values.end() || !layer || !layer->bias_node.valid() ||
      layer->bias_node == layer->node)
    return std::nullopt;
  const ValueId product = graph.node(layer->node).outputs[0];
  const Tensor& bias = *graph.constant(graph.node(layer->bias_node).inputs[layer->bias_input]);
  const auto& dims = graph.value(product).type.dims;
  if (plan.values.contains(product) || !dims || std::ssize(*dims) < bias.rank())
    return std::nullopt;
  WeightPlan planned{layer->bias_node, layer->bias_input,
                     bias_params(weight.params, input->second.scales[0])};
  const auto values = bias.values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const float scale = planned.params.scales[planned.params.scales.size() == 1 ? 0 : i];
    if (!(std::fabs(values[i]) < scale * kLargestBias)) return std::nullopt;
  }
  return planned;
}

}  // namespace

// The runtimes' patterns want the output of an integer node to be read by QuantizeLinear alone.
bool is_dequantized_for_all(const Graph& graph, const PrecisionPlan& plan, ValueId value) {
  const NodeId producer = graph.value(value).producer;
  if (!producer.valid()) return false;
  if (plan.nodes.contains(producer)) return true;
  if (!clamp_of(graph, graph.node(producer))) return false;
  const NodeId before = graph.value(graph.node(producer).input(0)).producer;
  return before.valid() && plan.nodes.contains(before) && fused_output(graph, before) == value;
}

int insert_qdq(Graph& graph, const PrecisionPlan& plan) {
  // Decided on the untouched graph: insertions change who reads what.
  std::vector<WeightPlan> constants = plan.weights;
  constants.insert(constants.end(), plan.biases.begin(), plan.biases.end());
  for (const WeightPlan& weight : plan.weights)
    if (auto bias = added_bias(graph, plan, weight)) constants.push_back(std::move(*bias));
  std::vector<Insertion> insertions;
  for (const auto& [id, params] : plan.values)
    insertions.push_back({id, is_dequantized_for_all(graph, plan, id)});
  int inserted = 0;
  for (const Insertion& insertion : insertions) {
    insert_for_value(graph, plan, insertion, plan.values.at(insertion.value));
    inserted += 2;
  }
  for (const WeightPlan& constant : constants) {
    insert_for_constant(graph, constant);
    ++inserted;
  }
  return inserted;
}

}  // namespace lathe
