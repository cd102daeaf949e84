#include "ops/activation_fusion.h"

#include <fmt/format.h>

#include <limits>

#include "ops/op_row.h"

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
  if (!op_row(node.kind).fusable) return std::nullopt;
  ActivationForm form{node.kind, parameter_of(node, 0), parameter_of(node, 1)};
  if (node.kind == OpKind::kGelu)
    form.alpha = node.attributes.string_or("approximate", "none") == "tanh" ? 1 : 0;
  if (node.kind != OpKind::kClip) return form;
  const auto bounds = clamp_of(graph, node);
  if (!bounds) return std::nullopt;
  form.alpha = bounds->low;
  form.beta = bounds->high;
  return form;
}

std::string activation_text(const ActivationForm& form) {
  const std::string_view name = op_name(form.kind);
  const auto& parameters = op_row(form.kind).parameters;
  if (form.kind == OpKind::kGelu) return form.alpha != 0 ? "Gelu(tanh)" : "Gelu";
  if (form.kind == OpKind::kClip || parameters[1].name != nullptr)
    return fmt::format("{}({:g}, {:g})", name, form.alpha, form.beta);
  if (parameters[0].name != nullptr) return fmt::format("{}({:g})", name, form.alpha);
  return std::string(name);
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
