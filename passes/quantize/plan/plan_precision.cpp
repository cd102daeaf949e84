#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "ops/activation_fusion.h"
#include "ops/op_row.h"
#include "quantize/diagnose/value_response.h"
#include "quantize/plan/plan_weight.h"
#include "quantize/plan/power_of_two.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/plan/saturation.h"
#include "quantize/plan/weight_grid.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

QuantParams activation_params(const IntegerRules& rules, const Range& range,
                              const Histogram& histogram) {
  const auto qmin = static_cast<int32_t>(integer_min(rules.activation_dtype));
  const auto qmax = static_cast<int32_t>(integer_max(rules.activation_dtype));
  ScaleZeroPoint chosen =
      rules.activation_symmetric
          ? choose_symmetric(std::max(std::fabs(range.min), std::fabs(range.max)), qmax)
          : choose_asymmetric(range.min, range.max, qmin, qmax);
  if (rules.power_of_two && rules.activation_symmetric) {
    chosen.scale = power_of_two_for(histogram, chosen.scale, qmin, qmax);
  } else if (rules.power_of_two) {
    chosen.scale = power_of_two_above(chosen.scale);
    const double zero = qmin - std::nearbyint(std::min(range.min, 0.0) / chosen.scale);
    chosen.zero_point = static_cast<int32_t>(std::clamp<double>(zero, qmin, qmax));
  }
  QuantParams params;
  params.dtype = rules.activation_dtype;
  params.scales = {chosen.scale};
  params.zero_points = {chosen.zero_point};
  return params;
}

// Factors that keep the pair sums of all channels within 16 bits; empty: they are already.
std::vector<float> fitting_factors(const Graph& graph, const IntegerRules& rules,
                                   const WeightPlan& planned) {
  if (!rules.pair_sums_saturate || rules.weight_only || rules.weight_dtype != DType::kInt8)
    return {};
  const Node& node = graph.node(planned.node);
  const auto layer = pair_layer(
      node, quantize_tensor(*graph.constant(node.inputs[1]), planned.params, planned.reduce_range));
  if (!layer || !saturation_bound(*layer).possible()) return {};
  return widening_factors(*layer, planned.params.scales.size());
}

void plan_weights(const Graph& graph, const IntegerRules& rules, PrecisionPlan& plan) {
  for (const auto& [id, role] : plan.nodes) {
    const Node& node = graph.node(id);
    if (role != QuantRole::kCompute || graph.constant(node.inputs[1]) == nullptr) continue;
    PlannedWeight planned = plan_weight(graph, rules, plan, id);
    const std::vector<float> widened = fitting_factors(graph, rules, planned.weight);
    if (!widened.empty()) planned = plan_weight(graph, rules, plan, id, widened);
    plan.weights.push_back(std::move(planned.weight));
    if (planned.bias) plan.biases.push_back(std::move(*planned.bias));
  }
}

}  // namespace

PlannedWeight plan_weight(const Graph& graph, const IntegerRules& rules, const PrecisionPlan& plan,
                          NodeId id, const std::vector<float>& widened) {
  const bool reduce_range = rules.weight_reduce_range;
  const Node& node = graph.node(id);
  const Tensor& weight = *graph.constant(node.inputs[1]);
  const Tensor* bias = graph.constant(node.input(2));
  // ConvTranspose in groups has its output channels on two axes; one scale for all then.
  const bool per_channel =
      rules.weight_per_channel && weight.rank() >= 2 &&
      !(node.kind == OpKind::kMatMul && weight.rank() != 2) &&
      !(node.kind == OpKind::kConvTranspose && node.attributes.int_or("group", 1) != 1);
  const int64_t axis = per_channel ? weight_channel_axis(graph, node) : -1;
  const std::string place = "node " + escape_untrusted(node.name);
  check_finite_weight(weight, place);
  PlannedWeight planned{
      {id, 1, weight_params(weight, rules.weight_dtype, axis, reduce_range), reduce_range}, {}};
  QuantParams& params = planned.weight.params;
  if (!rules.power_of_two) keep_weight_grid(weight, params, reduce_range);
  for (size_t c = 0; c < widened.size(); ++c) params.scales.at(c) *= widened[c];
  if (rules.power_of_two)
    round_weight_scales(weight, weight_qmax(rules.weight_dtype, reduce_range), params);
  if (bias == nullptr || rules.weight_only) return planned;
  const float input_scale = plan.values.at(node.inputs[0]).scales[0];
  check_finite_weight(*bias, place);
  // A Gemm's C may be a matrix or one number for all channels; such a bias stays float.
  const auto channels = static_cast<int64_t>(params.scales.size());
  if (bias->rank() != 1 || (axis >= 0 && bias->numel() != channels)) return planned;
  widen_for_bias(params, *bias, input_scale);
  if (rules.power_of_two)
    for (float& scale : params.scales) scale = power_of_two_above(scale);
  planned.bias = WeightPlan{id, 2, bias_params(params, input_scale)};
  return planned;
}

// Clip and Relu that end a fused node: the runtimes drop a Clip only when the quantized range lies
// inside its bounds, so 255 * scale must not exceed 6 by a rounding error.
void fit_inside_bounds(const Graph& graph, ValueId value, QuantParams& params, float reach) {
  const NodeId producer = graph.value(value).producer;
  if (!producer.valid()) return;
  const auto bounds = clamp_of(graph, graph.node(producer));
  if (!bounds || !std::isfinite(bounds->high)) return;
  const auto steps = static_cast<float>(integer_max(params.dtype) - params.zero_points[0]);
  const auto limit = static_cast<float>(bounds->high);
  float& scale = params.scales[0];
  if (steps <= 0 || limit <= 0 || steps * scale > limit * (1.0f + reach)) return;
  scale = std::min(scale, std::nextafter(limit / steps, limit));
  while (steps * scale > limit) scale = std::nextafter(scale, 0.0f);
}

void plan_values(const Graph& graph, const IntegerRules& rules, PrecisionPlan& plan,
                 const Statistics& statistics, const RangeRules& ranges) {
  const IntegerGrid grid{static_cast<int32_t>(integer_min(rules.activation_dtype)),
                         static_cast<int32_t>(integer_max(rules.activation_dtype)),
                         rules.activation_symmetric};
  for (const ValueId id : calibration_targets(graph, plan).ranges) {
    const std::string& name = graph.value(id).name;
    const auto it = statistics.values.find(name);
    if (it == statistics.values.end())
      throw bad_input("statistics.missing",
                      fmt::format("the statistics do not hold value '{}'", escape_untrusted(name)),
                      {}, "calibrate again without --statistics");
    const ChosenRange chosen =
        choose_range(ranges.at(id), it->second, grid, response_behind(graph, id));
    plan.values[id] = activation_params(rules, chosen.range, it->second);
    if (!rules.power_of_two) fit_inside_bounds(graph, id, plan.values[id]);
    plan.ranges[id] = chosen;
  }
  pass_on_params(graph, plan);
}

void pass_on_params(const Graph& graph, PrecisionPlan& plan) {
  for (const NodeId id : graph.order()) {
    const auto it = plan.nodes.find(id);
    if (it == plan.nodes.end() || it->second != QuantRole::kMove) continue;
    const Node& node = graph.node(id);
    for (const ValueId output : node.outputs)
      if (plan.values.contains(output)) plan.values[output] = plan.values.at(node.inputs[0]);
  }
}

PrecisionPlan plan_precision(const Graph& graph, const IntegerRules& rules, PrecisionPlan selection,
                             const Statistics& statistics, const RangeRules& ranges) {
  plan_values(graph, rules, selection, statistics, ranges);
  plan_weights(graph, rules, selection);
  return selection;
}

}  // namespace lathe
