#include <algorithm>
#include <iterator>
#include <optional>

#include "ir/error.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"
#include "quantize/apply/store_integer_weights.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

constexpr int64_t kLeastTable = 4096;  // elements; smaller ones are lookups of sizes and the like
// Of all weights: what positions are rotated by saves little and feels its rounding.
constexpr int64_t kLeastPart = 128;

int64_t count_weights(const Graph& graph) {
  int64_t count = 0;
  for (const ValueId id : graph.value_ids())
    if (const Tensor* tensor = graph.constant(id); tensor != nullptr)
      count += is_floating(tensor->dtype()) ? tensor->numel() : 0;
  return count;
}

// Inputs that hold weights.
std::vector<size_t> weight_inputs(const Node& node) {
  switch (node.kind) {
    case OpKind::kConv:
    case OpKind::kConvTranspose:
    case OpKind::kGemm:
    case OpKind::kMatMul: return {1};
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN: return {1, 2};
    case OpKind::kGather: return {0};
    default: return {};
  }
}

struct WeightAxes {
  int64_t channel = -1;  // -1: none
  int64_t input = -1;
};

WeightAxes axes_of(const Graph& graph, const Node& node, const Tensor& weight) {
  if (weight.rank() < 2) return {};
  switch (node.kind) {
    case OpKind::kMatMul: return {weight.rank() - 1, weight.rank() - 2};
    case OpKind::kGemm: {
      const int64_t channel = weight_channel_axis(graph, node);
      return {channel, 1 - channel};
    }
    case OpKind::kConv: return {0, 1};
    case OpKind::kConvTranspose: return {1, 0};
    case OpKind::kGather: return {weight.rank() - 1, weight.rank() - 1};
    default: return weight.rank() == 3 ? WeightAxes{1, 2} : WeightAxes{};
  }
}

class Planner {
 public:
  Planner(const Graph& graph, const WeightStorageRules& rules)
      : graph_(graph), rules_(rules), weights_(count_weights(graph)) {}

  WeightStoragePlan run() {
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (rules_.kinds.empty() || rules_.kinds.contains(node.kind))
        for (const size_t input : weight_inputs(node)) consider(id, input);
      for (size_t s = 0; s < node.subgraphs.size(); ++s) {
        WeightStoragePlan body = plan_weight_storage(node.subgraphs[s].graph(), rules_);
        std::move(body.exceptions.begin(), body.exceptions.end(),
                  std::back_inserter(plan_.exceptions));
        body.exceptions.clear();
        if (!body.empty()) plan_.bodies[{id, s}] = std::move(body);
      }
    }
    return std::move(plan_);
  }

 private:
  // A depthwise filter's few numbers are a small part of a network and most of its noise.
  DType dtype_of(const Node& node, const Tensor& weight) const {
    const bool depthwise = node.kind == OpKind::kConv && weight.rank() >= 3 &&
                           weight.shape()[1] == 1 && weight.shape()[0] > 1;
    const bool is_table = node.kind == OpKind::kGather && !rules_.four_bit_tables;
    return depthwise || is_table ? DType::kInt8 : rules_.dtype;
  }

  ScaleLayout layout_of(const Node& node, const Tensor& weight) const {
    const WeightAxes axes = axes_of(graph_, node, weight);
    if (!rules_.per_channel) return {};
    if (dtype_of(node, weight) == DType::kInt4 && axes.input >= 0) {
      const int64_t length = weight.shape()[static_cast<size_t>(axes.input)];
      // The last block of a long axis may be cut short.
      if (length > rules_.block_size) return {axes.input, rules_.block_size};
      for (const int64_t size : {rules_.block_size, int64_t{16}})
        if (length > 0 && length % size == 0) return {axes.input, size};
    }
    return {axes.channel, 0};
  }

  // Integers and scales against the floats that they stand for.
  bool saves_space(const Node& node, const Tensor& weight) const {
    const ScaleLayout layout = layout_of(node, weight);
    int64_t scales = 1;
    if (layout.axis >= 0) {
      const int64_t length = weight.shape()[static_cast<size_t>(layout.axis)];
      scales = layout.block_size == 0
                   ? length
                   : weight.numel() / length * ((length - 1) / layout.block_size + 1);
    }
    return dtype_bytes(dtype_of(node, weight), weight.numel()) + 4 * scales < 3 * weight.numel();
  }

  std::string obstacle(const Node& node, size_t input, const Tensor* weight) const {
    if (rules_.obstacle)
      if (std::string reason = rules_.obstacle(node); !reason.empty()) return reason;
    if (dequantizer(graph_, node.inputs[input]) != nullptr) return "its weight is integer already";
    if (weight == nullptr) return "its weight is computed";
    if (weight->dtype() != DType::kFloat32) return "its weight is not a float32 value";
    if (!saves_space(node, *weight)) return "its scales would be as large as its weight";
    return {};
  }

  // Most Gathers pick sizes out of shapes; those are no exceptions.
  bool is_table(const Node& node, const Tensor* weight) const {
    if (node.kind != OpKind::kGather) return true;
    return weight != nullptr && weight->dtype() == DType::kFloat32 && weight->rank() >= 2 &&
           weight->numel() >= std::max(kLeastTable, weights_ / kLeastPart);
  }

  void consider(NodeId id, size_t input) {
    const Node& node = graph_.node(id);
    if (!node.input(input).valid()) return;
    const ValueId value = node.inputs[input];
    const Tensor* weight = graph_.constant(value);
    if (!is_table(node, weight)) return;
    if (std::string reason = obstacle(node, input, weight); !reason.empty()) {
      // One line for both weights of a recurrent node.
      if (input < 2 || plan_.exceptions.empty() || plan_.exceptions.back().node != node.name)
        plan_.exceptions.push_back({node.name, std::string(node.type_name()), std::move(reason)});
      return;
    }
    const auto known = std::find_if(plan_.weights.begin(), plan_.weights.end(),
                                    [&](const StoredWeight& w) { return w.value == value; });
    if (known != plan_.weights.end()) return known->readers.push_back({id, input});
    check_finite_weight(*weight, "node " + escape_untrusted(node.name));
    plan_.weights.push_back(
        {value, {{id, input}}, dtype_of(node, *weight), layout_of(node, *weight)});
  }

  const Graph& graph_;
  const WeightStorageRules& rules_;
  int64_t weights_ = 0;
  WeightStoragePlan plan_;
};

}  // namespace

bool WeightStoragePlan::empty() const { return weights.empty() && bodies.empty(); }

WeightStoragePlan plan_weight_storage(const Graph& graph, const WeightStorageRules& rules) {
  return Planner(graph, rules).run();
}

}  // namespace lathe
