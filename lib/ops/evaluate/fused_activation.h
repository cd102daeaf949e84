// Activations that nodes carry as attributes (FusedConv, FusedGemm, RNN, GRU, LSTM).
#pragma once

#include <ATen/ATen.h>

#include <string_view>

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

}  // namespace lathe
