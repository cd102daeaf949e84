// Which output and input channel every element of a layer's weight belongs to.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/graph.h"

namespace lathe {

/// The weight (input 1) of a Conv, ConvTranspose, Gemm or MatMul as a map of outputs x inputs.
/// In groups, output o meets only the inputs of its group.
struct WeightChannels {
  int64_t outputs = 0;
  int64_t inputs = 0;
  int64_t groups = 1;
  int64_t taps = 1;  // kernel elements
  /// The first axis counts inputs: ConvTranspose, MatMul, Gemm without transB.
  bool input_major = false;

  int64_t outputs_a_group() const { return outputs / groups; }
  int64_t inputs_a_group() const { return inputs / groups; }
  int64_t output(int64_t element) const;
  int64_t input(int64_t element) const;
};

/// nullopt for other nodes, weights that are no float32 constants or of another rank, and a Gemm
/// that transposes its input.
std::optional<WeightChannels> weight_channels(const Graph& graph, const Node& node);

}  // namespace lathe
