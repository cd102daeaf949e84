#include <iterator>

#include "ir/error.h"
#include "qdq/qdq.h"
#include "quantize/apply/quantize_dynamically.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

bool is_candidate(OpKind kind) {
  return kind == OpKind::kMatMul || kind == OpKind::kGemm || kind == OpKind::kConv ||
         kind == OpKind::kLSTM;
}

std::string weight_obstacle(const Graph& graph, const Node& node, size_t input) {
  const ValueId value = node.input(input);
  if (!value.valid()) return "it has no weight";
  if (dequantizer(graph, value) != nullptr) return "its weight is integer already";
  const Tensor* weight = graph.constant(value);
  if (weight == nullptr) return "its weight is computed";
  if (weight->dtype() != DType::kFloat32) return "its weight is not a float32 value";
  if (weight->numel() == 0) return "its weight is empty";
  check_finite_weight(*weight, "node " + escape_untrusted(node.name));
  return {};
}

std::string lstm_obstacle(const Graph& graph, const Node& node, const DynamicRules& rules) {
  if (!rules.contrib) return "the runtime has no integer LSTM";
  if (node.attributes.int_or("layout", 0) != 0) return "the integer LSTM has no layout 1";
  const Tensor& input = *graph.constant(node.inputs[1]);
  const Tensor& feedback = *graph.constant(node.inputs[2]);
  if (input.rank() != 3 || feedback.rank() != 3) return "its weights do not have three axes";
  return {};
}

std::string obstacle(const Graph& graph, const Node& node, const DynamicRules& rules) {
  if (rules.obstacle)
    if (std::string reason = rules.obstacle(node); !reason.empty()) return reason;
  if (node.kind == OpKind::kConv && !(rules.convolution && rules.convolution(node)))
    return "convolutions stay float unless --include names them";
  if (!node.input(0).valid() || !is_float32(graph, node.inputs[0]))
    return "its input is not float32";
  if (graph.constant(node.inputs[0]) != nullptr) return "its first input is a constant";
  if (std::string reason = weight_obstacle(graph, node, 1); !reason.empty()) return reason;
  const Tensor& weight = *graph.constant(node.inputs[1]);
  if (node.kind == OpKind::kLSTM) {
    std::string reason = weight_obstacle(graph, node, 2);
    return reason.empty() ? lstm_obstacle(graph, node, rules) : reason;
  }
  if (node.kind == OpKind::kGemm && node.attributes.int_or("transA", 0) != 0)
    return "it transposes its input";
  if (node.kind == OpKind::kGemm && weight.rank() != 2) return "its weight is no matrix";
  if (node.kind == OpKind::kConv && weight.rank() < 3) return "its weight is no filter";
  if (node.kind == OpKind::kConv && node.input(2).valid() &&
      graph.constant(node.inputs[2]) == nullptr)
    return "its bias is computed";
  return {};
}

}  // namespace

int64_t DynamicPlan::count() const {
  auto sum = static_cast<int64_t>(nodes.size());
  for (const auto& [place, body] : bodies) sum += body.count();
  return sum;
}

DynamicPlan plan_dynamic(const Graph& graph, const DynamicRules& rules) {
  DynamicPlan plan;
  plan.per_channel = rules.per_channel;
  plan.reduce_range = rules.reduce_range;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (is_candidate(node.kind)) {
      if (std::string reason = obstacle(graph, node, rules); reason.empty())
        plan.nodes.push_back(id);
      else
        plan.exceptions.push_back({node.name, std::string(node.type_name()), std::move(reason)});
    }
    for (size_t s = 0; s < node.subgraphs.size(); ++s) {
      DynamicPlan body = plan_dynamic(node.subgraphs[s].graph(), rules);
      std::move(body.exceptions.begin(), body.exceptions.end(),
                std::back_inserter(plan.exceptions));
      body.exceptions.clear();
      if (!body.empty()) plan.bodies[{id, s}] = std::move(body);
    }
  }
  return plan;
}

}  // namespace lathe
