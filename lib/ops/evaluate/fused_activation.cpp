#include "evaluate/fused_activation.h"

#include <ATen/ATen.h>

#include <array>
#include <limits>

#include "ir/error.h"

namespace lathe {
namespace {

using Kind = FusedActivation::Kind;

struct NamedActivation {
  std::string_view name;  // lower case
  FusedActivation activation;
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr std::array kActivations{
    NamedActivation{"", {Kind::kNone}},
    NamedActivation{"relu", {Kind::kRelu}},
    NamedActivation{"tanh", {Kind::kTanh}},
    NamedActivation{"sigmoid", {Kind::kSigmoid}},
    NamedActivation{"affine", {Kind::kAffine, 1.0, 0.0}},
    NamedActivation{"leakyrelu", {Kind::kLeakyRelu, 0.01}},
    NamedActivation{"thresholdedrelu", {Kind::kThresholdedRelu, 1.0}},
    NamedActivation{"scaledtanh", {Kind::kScaledTanh, 1.0, 1.0}},
    NamedActivation{"hardsigmoid", {Kind::kHardSigmoid, 0.2, 0.5}},
    NamedActivation{"elu", {Kind::kElu, 1.0}},
    NamedActivation{"softsign", {Kind::kSoftsign}},
    NamedActivation{"softplus", {Kind::kSoftplus}},
    NamedActivation{"clip", {Kind::kClip, -kInfinity, kInfinity}},
};

bool takes_alpha(Kind kind) {
  return kind == Kind::kAffine || kind == Kind::kLeakyRelu || kind == Kind::kThresholdedRelu ||
         kind == Kind::kScaledTanh || kind == Kind::kHardSigmoid || kind == Kind::kElu;
}

bool takes_beta(Kind kind) {
  return kind == Kind::kAffine || kind == Kind::kScaledTanh || kind == Kind::kHardSigmoid;
}

}  // namespace

FusedActivation fused_activation(std::string_view name) {
  std::string lower;
  for (const char c : name) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  for (const NamedActivation& row : kActivations)
    if (row.name == lower) return row.activation;
  throw bad_input("node.activation", "unknown activation " + escape_untrusted(name));
}

at::Tensor FusedActivation::operator()(const at::Tensor& x) const {
  switch (kind) {
    case Kind::kNone: return x;
    case Kind::kRelu: return at::relu(x);
    case Kind::kTanh: return at::tanh(x);
    case Kind::kSigmoid: return at::sigmoid(x);
    case Kind::kAffine: return x * alpha + beta;
    case Kind::kLeakyRelu: return at::where(x < 0, x * alpha, x);
    case Kind::kThresholdedRelu: return at::where(x > alpha, x, at::zeros_like(x));
    case Kind::kScaledTanh: return at::tanh(x * beta) * alpha;
    case Kind::kHardSigmoid: return at::clamp(x * alpha + beta, 0, 1);
    case Kind::kElu: return at::where(x < 0, at::expm1(x) * alpha, x);
    case Kind::kSoftsign: return x / (at::abs(x) + 1);
    case Kind::kSoftplus: return at::softplus(x);
    case Kind::kClip: return at::clamp(x, alpha, beta);
  }
  return x;
}

std::vector<FusedActivation> recurrent_activations(std::span<const std::string> names,
                                                   std::span<const float> alphas,
                                                   std::span<const float> betas) {
  std::vector<FusedActivation> activations;
  size_t next_alpha = 0;
  size_t next_beta = 0;
  for (const std::string& name : names) {
    FusedActivation activation = fused_activation(name);
    const size_t i = activations.size();
    const size_t a = alphas.size() == names.size() ? i : next_alpha;
    const size_t b = betas.size() == names.size() ? i : next_beta;
    if (takes_alpha(activation.kind)) {
      if (a < alphas.size()) activation.alpha = alphas[a];
      ++next_alpha;
    }
    if (takes_beta(activation.kind)) {
      if (b < betas.size()) activation.beta = betas[b];
      ++next_beta;
    }
    activations.push_back(activation);
  }
  return activations;
}

}  // namespace lathe
