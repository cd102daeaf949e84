#include "ops/activation_fusion.h"

#include <fmt/format.h>

#include <limits>

namespace lathe {

std::optional<ActivationBounds> clamp_of(const Graph& graph, const Node& node) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (node.kind == OpKind::kRelu) return ActivationBounds{0, kInfinity};
  if (node.kind != OpKind::kClip) return std::nullopt;
  ActivationBounds bounds{-kInfinity, kInfinity};
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (!node.input(i).valid()) continue;
    const Tensor* constant = graph.constant(node.input(i));
    if (constant == nullptr || constant->numel() != 1 ||
        !(is_floating(constant->dtype()) || is_integer(constant->dtype())))
      return std::nullopt;
    (i == 1 ? bounds.low : bounds.high) = constant->to_double()[0];
  }
  // The negation also catches NaN.
  if (!(bounds.low <= bounds.high)) return std::nullopt;
  return bounds;
}

std::optional<ActivationForm> activation_form(const Graph& graph, const Node& node) {
  const Attributes& attributes = node.attributes;
  switch (node.kind) {
    case OpKind::kClip: {
      const auto bounds = clamp_of(graph, node);
      if (!bounds) return std::nullopt;
      return ActivationForm{node.kind, bounds->low, bounds->high};
    }
    case OpKind::kLeakyRelu:
      return ActivationForm{node.kind, attributes.float_or("alpha", 0.01F), 0};
    case OpKind::kElu:
    case OpKind::kSwish: return ActivationForm{node.kind, attributes.float_or("alpha", 1), 0};
    case OpKind::kHardSigmoid:
      return ActivationForm{node.kind, attributes.float_or("alpha", 0.2F),
                            attributes.float_or("beta", 0.5F)};
    case OpKind::kGelu: {
      const bool tanh = attributes.string_or("approximate", "none") == "tanh";
      return ActivationForm{node.kind, tanh ? 1.0 : 0.0, 0};
    }
    case OpKind::kHardSwish:
    case OpKind::kMish:
    case OpKind::kRelu:
    case OpKind::kSigmoid:
    case OpKind::kSoftplus:
    case OpKind::kTanh: return ActivationForm{node.kind, 0, 0};
    default: return std::nullopt;
  }
}

std::string activation_text(const ActivationForm& form) {
  const std::string_view name = op_name(form.kind);
  switch (form.kind) {
    case OpKind::kClip:
    case OpKind::kHardSigmoid: return fmt::format("{}({:g}, {:g})", name, form.alpha, form.beta);
    case OpKind::kElu:
    case OpKind::kLeakyRelu:
    case OpKind::kSwish: return fmt::format("{}({:g})", name, form.alpha);
    case OpKind::kGelu: return form.alpha != 0 ? "Gelu(tanh)" : "Gelu";
    default: return std::string(name);
  }
}

FusionPlan plan_activation_fusion(const Graph& graph) {
  FusionPlan plan;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.kind != OpKind::kConv && node.kind != OpKind::kConvTranspose &&
        node.kind != OpKind::kGemm && node.kind != OpKind::kMatMul)
      continue;
    if (!node.output(0).valid()) continue;
    const auto user = graph.single_user(node.output(0));
    // A bound of a Clip is no activation of it.
    if (!user || graph.node(*user).input(0) != node.output(0)) continue;
    if (const auto form = activation_form(graph, graph.node(*user)))
      plan.pairs.push_back({id, *user, *form});
  }
  return plan;
}

}  // namespace lathe
