// --mode auto.
#pragma once

#include <string>

#include "ir/graph.h"
#include "profiles/profile.h"

namespace lathe {

struct ModeChoice {
  std::string mode;    // "static", "dynamic" or "float16"
  std::string reason;  // "91 % of its multiply-adds are in matrix products and recurrent layers"
};

/// float16 for a device that computes in it and has no int8 of its own (GPUs); static where the
/// runtime cannot measure ranges while running; dynamic where more than half of the
/// multiply-adds, or of the weights where sizes are unknown, are in MatMul, Gemm, LSTM, GRU and RNN
/// (their activations have outliers that move with the input, and measuring a range costs little
/// beside the product), where most weights are inside If, Loop and Scan, and where recurrent layers
/// hold a tenth of the weights and they and the products more than half, whatever the
/// multiply-adds: static leaves those layers in float and rounds what their state is made of, step
/// after step (a streaming denoiser: 12.9 dB, 30.8 dB dynamic); static for all others.
/// Shapes must have been inferred.
ModeChoice choose_mode(const Graph& graph, const Profile& profile);

}  // namespace lathe
