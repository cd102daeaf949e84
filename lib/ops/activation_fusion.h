// Activations that a runtime computes in the same pass as the node before them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// What a Relu or Clip keeps; infinite where nothing is cut off.
struct ActivationBounds {
  double low = 0;
  double high = 0;
  bool operator==(const ActivationBounds&) const = default;
};

/// Relu, or Clip with constant bounds, low <= high; nullopt for everything else.
std::optional<ActivationBounds> clamp_of(const Graph& graph, const Node& node);

/// A function of one element, with all its parameters.
struct ActivationForm {
  OpKind kind = OpKind::kRelu;
  /// Clip: the bounds. Gelu: alpha is 1 for the tanh approximation. Else the row's parameters.
  double alpha = 0;
  double beta = 0;
  bool operator==(const ActivationForm&) const = default;
};

/// Of nodes whose row is fusable, Clip with constant bounds; nullopt for others.
std::optional<ActivationForm> activation_form(const Graph& graph, const Node& node);
/// "Clip(0, 6)", "LeakyRelu(0.1)", "Relu".
std::string activation_text(const ActivationForm& form);

/// A Conv, ConvTranspose, Gemm or MatMul whose output only the activation reads.
struct ActivationFusion {
  NodeId producer;
  NodeId activation;
  ActivationForm form;
};

/// Pairs in graph order; a node is in one pair at most. Of bodies of control flow: call it for each
/// body.
struct FusionPlan {
  std::vector<ActivationFusion> pairs;
};
FusionPlan plan_activation_fusion(const Graph& graph);

}  // namespace lathe
