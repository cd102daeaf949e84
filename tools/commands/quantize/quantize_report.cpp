#include "commands/quantize/quantize_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/quantize/quantize_job.h"
#include "commands/quantize/weight_rows.h"
#include "ir/error.h"

namespace lathe {
namespace {

using nlohmann::json;

bool is_compute(OpKind kind) {
  return kind == OpKind::kConv || kind == OpKind::kConvTranspose || kind == OpKind::kGemm ||
         kind == OpKind::kMatMul;
}

json params_json(const QuantParams& params) {
  json row = {{"dtype", std::string(dtype_name(params.dtype))}};
  if (params.axis >= 0) {
    const auto [low, high] = std::minmax_element(params.scales.begin(), params.scales.end());
    row["axis"] = params.axis;
    row["channels"] = params.scales.size();
    row["min_scale"] = *low;
    row["max_scale"] = *high;
  } else {
    row["scale"] = params.scales[0];
    row["zero_point"] = params.zero_points[0];
  }
  return row;
}

const char* role_name(QuantRole role) {
  if (role == QuantRole::kCompute) return "compute";
  return role == QuantRole::kFollow ? "follow" : "move";
}

struct ComputeNodes {
  size_t total = 0;
  size_t integer = 0;  // in the plan
  size_t wide = 0;     // of these, that read 16-bit activations
};

ComputeNodes count_compute(const Graph& graph, const PrecisionPlan& plan) {
  ComputeNodes count;
  for (const NodeId id : graph.node_ids()) {
    if (!is_compute(graph.node(id).kind)) continue;
    ++count.total;
    if (!plan.nodes.contains(id)) continue;
    ++count.integer;
    const bool is_wide = std::ranges::any_of(graph.node(id).inputs, [&](ValueId input) {
      const auto at = plan.values.find(input);
      return at != plan.values.end() && dtype_bits(at->second.dtype) == 16;
    });
    count.wide += is_wide ? 1 : 0;
  }
  return count;
}

}  // namespace

json plan_section(const Graph& graph, const PrecisionPlan& plan) {
  json nodes = json::array();
  for (const auto& [id, role] : plan.nodes)
    nodes.push_back({{"node", escape_untrusted(graph.node(id).name)},
                     {"node_type", std::string(graph.node(id).type_name())},
                     {"role", role_name(role)}});
  json values = json::array();
  for (const auto& [id, params] : plan.values) {
    if (params.scales.empty()) continue;
    json row = params_json(params);
    row["value"] = escape_untrusted(graph.value(id).name);
    if (const auto it = plan.ranges.find(id); it != plan.ranges.end()) {
      row["observer"] = std::string(observer_name(it->second.observer));
      row["min"] = it->second.range.min;
      row["max"] = it->second.range.max;
      row["mean_squared_error"] = it->second.error;
    }
    values.push_back(std::move(row));
  }
  json weights = json::array();
  for (const WeightPlan& weight : plan.weights) {
    json row = params_json(weight.params);
    row["node"] = escape_untrusted(graph.node(weight.node).name);
    weights.push_back(std::move(row));
  }
  return {{"nodes", std::move(nodes)},
          {"values", std::move(values)},
          {"weights", std::move(weights)},
          {"exceptions", exception_rows(plan.exceptions)}};
}

std::string coverage_text(const Graph& graph, const PrecisionPlan& plan) {
  const auto [total, integer, wide] = count_compute(graph, plan);
  const bool int4 = !plan.weights.empty() && plan.weights.front().params.dtype == DType::kInt4;
  if (plan.values.empty() && integer > 0)
    return fmt::format("{} of {} compute nodes with {} weights", integer, total,
                       int4 ? "int4" : "int8");
  std::string text = fmt::format("{} of {} compute nodes {}", integer, total,
                                 int4 ? "int8 with int4 weights" : "int8");
  if (wide > 0) text += fmt::format(", {} of them with 16-bit activations", wide);
  return text;
}

void note_unfused(const Graph& fused, QuantizedModel& quantized) {
  if (quantized.parts == nullptr) return;
  const Graph& reference = quantized.parts->reference;
  const PrecisionPlan& plan = quantized.parts->plan;
  std::vector<PlanException> left;
  for (const NodeId id : fused.node_ids())
    if (is_compute(fused.node(id).kind) && plan.nodes.contains(id))
      left.push_back({fused.node(id).name, std::string(fused.node(id).type_name()),
                      "no integer operator fits: float between DequantizeLinear and "
                      "QuantizeLinear"});
  if (left.empty()) return;
  const ComputeNodes count = count_compute(reference, plan);
  quantized.coverage =
      fmt::format("{} of {} compute nodes int8 operators, {} with int8 inputs only",
                  count.integer - std::min(count.integer, left.size()), count.total, left.size());
  quantized.exceptions.insert(quantized.exceptions.end(), left.begin(), left.end());
  json rows = exception_rows(left);
  for (json& row : rows) quantized.plan["exceptions"].push_back(std::move(row));
}

std::string exceptions_text(const std::vector<PlanException>& exceptions, size_t count) {
  std::string text;
  for (size_t i = 0; i < exceptions.size() && i < count; ++i)
    text += fmt::format("  {} ({}): {}\n", escape_untrusted(exceptions[i].node, 60),
                        escape_untrusted(exceptions[i].node_type, 40), exceptions[i].reason);
  if (exceptions.size() > count)
    text += fmt::format("  and {} more; --report lists all\n", exceptions.size() - count);
  return text;
}

}  // namespace lathe
