#include "quantize/diagnose/value_response.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace lathe {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double hard_sigmoid(double x, double alpha, double beta) {
  return std::clamp(alpha * x + beta, 0.0, 1.0);
}

Response function_of(const Node& node) {
  const auto attribute = [&](const char* name, float usual) {
    return static_cast<double>(node.attributes.float_or(name, usual));
  };
  switch (node.kind) {
    case OpKind::kSigmoid: return sigmoid;
    case OpKind::kTanh: return [](double x) { return std::tanh(x); };
    case OpKind::kHardSigmoid:
      return [alpha = attribute("alpha", 0.2f), beta = attribute("beta", 0.5f)](double x) {
        return hard_sigmoid(x, alpha, beta);
      };
    case OpKind::kHardSwish: return [](double x) { return x * hard_sigmoid(x, 1.0 / 6, 0.5); };
    case OpKind::kElu:
      return [alpha = attribute("alpha", 1.0f)](double x) {
        return x < 0 ? alpha * std::expm1(x) : x;
      };
    case OpKind::kSoftplus: return [](double x) { return x > 30 ? x : std::log1p(std::exp(x)); };
    case OpKind::kGelu:
      return [](double x) { return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2)); };
    default: return {};
  }
}

}  // namespace

Response response_behind(const Graph& graph, ValueId value) {
  std::vector<NodeId> users = graph.value(value).users;
  std::sort(users.begin(), users.end());
  users.erase(std::unique(users.begin(), users.end()), users.end());
  if (graph.is_output(value) || users.empty() || users.size() > 2) return {};
  const auto is_gate = [&](NodeId id) {
    const OpKind kind = graph.node(id).kind;
    return kind == OpKind::kSigmoid || kind == OpKind::kHardSigmoid;
  };
  if (users.size() == 1) return function_of(graph.node(users[0]));
  const size_t first = is_gate(users[0]) ? 0 : 1;
  const Node& gate = graph.node(users[first]);
  const Node& product = graph.node(users[1 - first]);
  if (!is_gate(users[first]) || product.kind != OpKind::kMul) return {};
  const ValueId gated = gate.output(0);
  const bool joins = (product.input(0) == value && product.input(1) == gated) ||
                     (product.input(1) == value && product.input(0) == gated);
  if (!joins || graph.value(gated).users.size() != 1 || graph.is_output(gated)) return {};
  return [function = function_of(gate)](double x) { return x * function(x); };
}

}  // namespace lathe
