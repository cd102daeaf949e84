// Activations that nodes carry as attributes (FusedConv, FusedGemm, RNN, GRU, LSTM).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace at {
class Tensor;
}

namespace lathe {

/// `alpha`, `beta` as ONNX's RNN operators define them per activation.
struct FusedActivation {
  enum class Kind : uint8_t {
    kNone,
    kRelu,
    kTanh,
    kSigmoid,
    kAffine,
    kLeakyRelu,
    kThresholdedRelu,
    kScaledTanh,
    kHardSigmoid,
    kElu,
    kSoftsign,
    kSoftplus,
    kClip,
  };
  Kind kind = Kind::kNone;
  double alpha = 0;
  double beta = 0;

  at::Tensor operator()(const at::Tensor& x) const;
};

/// Case does not matter; alpha and beta are set to the activation's defaults. Clip (lowest, highest
/// in alpha, beta) exists only in com.microsoft. Throws Error (exit 3) for an unknown name.
FusedActivation fused_activation(std::string_view name);

/// Those of an RNN, GRU or LSTM by its attributes activations, activation_alpha and
/// activation_beta: either one number per activation, or one per activation that has it; defaults
/// where they end. Throws as fused_activation does.
std::vector<FusedActivation> recurrent_activations(std::span<const std::string> names,
                                                   std::span<const float> alphas,
                                                   std::span<const float> betas);

}  // namespace lathe
