#include <algorithm>
#include <cmath>
#include <set>

#include "float16/convert_float16.h"
#include "float16/float16_rules.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

constexpr double kLargestFloat16 = 65504.0;
constexpr double kSmallestNormal = 6.103515625e-05;     // 2^-14
constexpr double kHalfSmallest = 2.98023223876953e-08;  // 2^-25: rounds to zero, as does less

bool is_integer_cast(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kCast) return false;
  return !is_floating(graph.value(node.outputs[0]).type.dtype);
}

class Planner {
 public:
  Planner(const Graph& graph, const KeptNodes& measured, bool ranges_known)
      : graph_(graph), order_(graph.order()), ranges_known_(ranges_known) {
    for (const auto& [id, reason] : measured)
      if (is_candidate(id)) keep(id, reason);
  }

  Float16Plan plan() {
    for (const NodeId id : order_)
      if (is_candidate(id) && !is_kept(id)) keep_by_itself(id);
    if (!ranges_known_) keep_large();
    keep_shapes();
    keep_beside_quantization();
    keep_surrounded();
    for (const NodeId id : order_) finish(id);
    return std::move(plan_);
  }

 private:
  bool is_candidate(NodeId id) const { return has_float32_work(graph_, graph_.node(id)); }
  bool is_kept(NodeId id) const { return plan_.kept.contains(id); }
  void keep(NodeId id, std::string reason) { plan_.kept.emplace(id, std::move(reason)); }

  void keep_by_itself(NodeId id) {
    const Node& node = graph_.node(id);
    if (!node.subgraphs.empty()) return keep(id, "its bodies are converted inside");
    if (std::string reason = kept_by_rule(graph_, node); !reason.empty()) {
      if (const Float16Rule* rule = float16_rule(node.kind); rule != nullptr && rule->is_wide)
        large_.insert(id);
      return keep(id, std::move(reason));
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (stays_float32(node, i)) continue;
      const Tensor* tensor = graph_.constant(node.inputs[i]);
      if (tensor == nullptr || tensor->dtype() != DType::kFloat32) continue;
      const bool is_addend = static_cast<int16_t>(i) == op_row(node.kind).bias_input ||
                             node.kind == OpKind::kBatchNormalization;
      if (!judge_constant(id, *tensor, is_addend)) return;
    }
    if (const Tensor* value = node.attributes.tensor("value");
        value != nullptr && value->dtype() == DType::kFloat32)
      judge_constant(id, *value, false);
  }

  // False: the node is kept because of it.
  bool judge_constant(NodeId id, const Tensor& tensor, bool is_addend) {
    bool any = false;
    bool all_small = true;
    for (const float element : tensor.values<float>()) {
      const double size = std::fabs(static_cast<double>(element));
      if (std::isfinite(size) && size > kLargestFloat16) {
        keep(id, "a constant is beyond 65504");
        large_.insert(id);
        return false;
      }
      if (size == 0) continue;
      any = true;
      all_small &= size < kSmallestNormal;
    }
    // An addend of Conv or BatchNormalization that vanishes beside the rest may; an epsilon or a
    // factor may not.
    if (!any || !all_small || is_addend) return true;
    keep(id, "a constant is too small for float16");
    return false;
  }

  // What a constant or a square beyond float16's range has made too large, up to where it is
  // bounded again.
  void keep_large() {
    std::set<NodeId> large = large_;
    for (const NodeId id : order_) {
      const Node& node = graph_.node(id);
      const bool reads_large =
          std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
            return input.valid() && large.contains(graph_.value(input).producer);
          });
      if (!reads_large || !is_candidate(id)) continue;
      keep(id, "what it reads may be beyond 65504");
      const OpRow& row = op_row(node.kind);
      const bool passes = row.channels == ChannelFlow::kElementwise || row.keeps_quantization ||
                          node.kind == OpKind::kConcat;
      if (passes && !bounds_values(node.kind)) large.insert(id);
    }
  }

  // Float arithmetic that ends as integers, or as the scales of a Resize, is about sizes.
  void keep_shapes() {
    for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
      const Node& node = graph_.node(*id);
      if (is_kept(*id) || !is_candidate(*id)) continue;
      bool any = false;
      const bool all = std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
        if (!output.valid()) return true;
        if (graph_.is_output(output)) return false;
        const auto& users = graph_.value(output).users;
        any |= !users.empty();
        return std::all_of(users.begin(), users.end(),
                           [&](NodeId user) { return reads_as_size(user, output); });
      });
      if (!any || !all) continue;
      keep(*id, "computes sizes or indices");
      sizes_.insert(*id);
    }
  }

  bool reads_as_size(NodeId user, ValueId value) const {
    const Node& node = graph_.node(user);
    if (sizes_.contains(user) || is_integer_cast(graph_, node) || node.kind == OpKind::kRange)
      return true;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] == value && !stays_float32(node, i)) return false;
    return !node.inputs.empty() && node.subgraphs.empty();
  }

  void keep_beside_quantization() {
    for (const NodeId id : order_) {
      if (is_kept(id) || !is_candidate(id)) continue;
      const Node& node = graph_.node(id);
      bool beside = false;
      for (const ValueId input : node.inputs) beside |= dequantizer(graph_, input) != nullptr;
      for (const ValueId output : node.outputs)
        if (output.valid())
          for (const NodeId user : graph_.value(output).users)
            beside |= graph_.node(user).kind == OpKind::kQuantizeLinear;
      if (beside) keep(id, "a runtime fuses it with its QuantizeLinear neighbours");
    }
  }

  // Two Casts cost more than a node without weights gains.
  void keep_surrounded() {
    for (int changes = 1; changes > 0;) {
      changes = 0;
      for (const NodeId id : order_) {
        if (is_kept(id) || !is_candidate(id) || op_row(graph_.node(id).kind).macs != nullptr)
          continue;
        if (!is_surrounded(graph_.node(id))) continue;
        keep(id, "stands between nodes that stay in float32");
        ++changes;
      }
    }
  }

  bool is_surrounded(const Node& node) const {
    for (const ValueId input : node.inputs) {
      if (!input.valid() || !is_single(graph_, input) || graph_.constant(input) != nullptr)
        continue;
      const NodeId producer = graph_.value(input).producer;
      if (producer.valid() && !is_kept(producer)) return false;
    }
    bool read = false;
    for (const ValueId output : node.outputs) {
      if (!output.valid() || !is_single(graph_, output)) continue;
      read = true;
      for (const NodeId user : graph_.value(output).users)
        if (!is_kept(user)) return false;
    }
    return read;
  }

  void finish(NodeId id) {
    const Node& node = graph_.node(id);
    for (size_t i = 0; i < node.subgraphs.size(); ++i) {
      Float16Plan body = plan_float16(node.subgraphs[i].graph());
      plan_.converted += body.converted;
      plan_.weights += body.weights;
      plan_.subnormal += body.subnormal;
      plan_.zeroed += body.zeroed;
      plan_.bodies.emplace(std::pair(id, i), std::move(body));
    }
    if (is_kept(id) || !is_candidate(id)) return;
    ++plan_.converted;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Tensor* tensor = graph_.constant(node.inputs[i]);
      if (tensor == nullptr || tensor->dtype() != DType::kFloat32 || stays_float32(node, i) ||
          !counted_.insert(node.inputs[i]).second)
        continue;
      plan_.weights += tensor->numel();
      for (const float element : tensor->values<float>()) {
        const double size = std::fabs(static_cast<double>(element));
        if (size == 0 || size >= kSmallestNormal) continue;
        ++plan_.subnormal;
        if (size <= kHalfSmallest) ++plan_.zeroed;
      }
    }
  }

  const Graph& graph_;
  const std::vector<NodeId> order_;
  const bool ranges_known_;
  Float16Plan plan_;
  std::set<NodeId> large_;
  std::set<NodeId> sizes_;
  std::set<ValueId> counted_;
};

}  // namespace

bool stays_float32(const Node& node, size_t input) {
  return node.kind == OpKind::kResize && (input == 1 || input == 2);
}

bool has_float32_work(const Graph& graph, const Node& node) {
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (node.inputs[i].valid() && !stays_float32(node, i) && is_single(graph, node.inputs[i]))
      return true;
  return std::any_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId output) { return output.valid() && is_single(graph, output); });
}

bool is_converted(const Graph& graph, const Float16Plan& plan, NodeId id) {
  const Node& node = graph.node(id);
  return !plan.kept.contains(id) && node.subgraphs.empty() && has_float32_work(graph, node);
}

Float16Plan plan_float16(const Graph& graph, const KeptNodes& measured, bool ranges_known) {
  return Planner(graph, measured, ranges_known).plan();
}

}  // namespace lathe
