#include "quantize/quantized_pattern.h"

#include <algorithm>
#include <vector>

#include "ops/activation_fusion.h"
#include "quantize/precision_plan.h"
#include "quantize/weight_params.h"

namespace lathe {
namespace {

bool is_narrow(DType dtype) { return dtype == DType::kUInt8 || dtype == DType::kInt8; }

// Scale and zero point of a Q or DQ node; `dtype` of the integers.
std::optional<QuantizedValue> parameters(const Graph& graph, const Node& node, DType dtype) {
  const Tensor* scale = graph.constant(node.input(1));
  if (scale == nullptr || scale->dtype() != DType::kFloat32 || scale->rank() > 1) return {};
  if (node.attributes.int_or("block_size", 0) != 0) return {};
  QuantizedValue value;
  value.scale = node.inputs[1];
  value.dtype = dtype;
  if (scale->numel() != 1) value.axis = node.attributes.int_or("axis", 1);
  value.zero_point = node.input(2);
  if (value.zero_point.valid()) {
    const Tensor* zero = graph.constant(value.zero_point);
    if (zero == nullptr || zero->dtype() != dtype) return {};
  }
  return value;
}

std::vector<int64_t> zero_points(const Graph& graph, const QuantizedValue& value) {
  if (value.zero_point.valid()) return graph.constant(value.zero_point)->to_int64();
  return std::vector<int64_t>(static_cast<size_t>(graph.constant(value.scale)->numel()), 0);
}

// Nothing outside the bounds can be written with these integers.
bool is_idle(const Graph& graph, const Node& activation, const QuantizedValue& value) {
  const auto bounds = clamp_of(graph, activation);
  if (!bounds) return false;
  const float scale = graph.constant(value.scale)->values<float>()[0];
  const int64_t zero = zero_points(graph, value)[0];
  const double low = static_cast<double>(integer_min(value.dtype) - zero) * scale;
  const double high = static_cast<double>(integer_max(value.dtype) - zero) * scale;
  // A Clip's bound and the integers' end may differ by the scale's own rounding.
  const double slack = 1e-6 * (high - low);
  return low >= bounds->low - slack && high <= bounds->high + slack;
}

}  // namespace

std::optional<QuantizedValue> dequantized_from(const Graph& graph, ValueId value) {
  if (!value.valid() || !graph.value(value).producer.valid()) return {};
  const Node node = graph.node(graph.value(value).producer);
  if (node.kind != OpKind::kDequantizeLinear) return {};
  const ValueType& type = graph.value(node.inputs[0]).type;
  if (!type.is_tensor() || (!is_narrow(type.dtype) && type.dtype != DType::kInt32)) return {};
  auto found = parameters(graph, node, type.dtype);
  if (found) found->integers = node.inputs[0];
  return found;
}

std::optional<QuantizedResult> quantized_result(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i].valid()) return {};
  auto user = graph.single_user(node.outputs[0]);
  if (!user) return {};
  QuantizedResult result;
  if (graph.node(*user).kind != OpKind::kQuantizeLinear) {
    result.activation = *user;
    if (!clamp_of(graph, graph.node(*user)) || graph.node(*user).input(0) != node.outputs[0])
      return {};
    user = graph.single_user(graph.node(*user).outputs[0]);
    if (!user || graph.node(*user).kind != OpKind::kQuantizeLinear) return {};
  }
  const Node quantize = graph.node(*user);
  const ValueType& type = graph.value(quantize.outputs[0]).type;
  if (!type.is_tensor() || !is_narrow(type.dtype)) return {};
  const auto value = parameters(graph, quantize, type.dtype);
  if (!value || value->axis >= 0) return {};
  result.quantize = *user;
  result.value = *value;
  result.value.integers = quantize.outputs[0];
  if (result.activation.valid() && !is_idle(graph, graph.node(result.activation), *value))
    return {};
  return result;
}

ValueId zero_point_of(Graph& graph, const QuantizedValue& value) {
  if (value.zero_point.valid()) return value.zero_point;
  const Tensor& scale = *graph.constant(value.scale);
  return graph.add_constant(
      graph.value(value.scale).name + "_zero_point",
      integer_tensor(value.dtype, scale.shape(),
                     std::vector<int32_t>(static_cast<size_t>(scale.numel()), 0)));
}

bool is_symmetric(const Graph& graph, const QuantizedValue& value) {
  const std::vector<int64_t> zeros = zero_points(graph, value);
  return std::all_of(zeros.begin(), zeros.end(), [](int64_t zero) { return zero == 0; });
}

bool same_parameters(const Graph& graph, const QuantizedValue& a, const QuantizedValue& b) {
  return a.dtype == b.dtype && a.axis == b.axis &&
         graph.constant(a.scale)->identical(*graph.constant(b.scale)) &&
         zero_points(graph, a) == zero_points(graph, b);
}

}  // namespace lathe
