// From a layer's output channels, through what keeps them apart, to the layer that adds them up.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Constant weights of a convolution or Gemm, channels along `axis`: float32, or integers with
/// zero point 0 behind a DequantizeLinear.
struct ChainWeights {
  Tensor values;              // float32 or int8, as the node reads them
  std::vector<float> scales;  // of integers: one, or one per output channel; empty: float32
  int64_t channels = 0;       // output channels of the node
  int64_t depth = 0;          // inputs of a group
  int64_t taps = 1;
  int64_t out_axis = 0;  // of `values`
  int64_t in_axis = 1;

  /// Weight of output channel, input of the group and tap as a real number.
  double at(int64_t channel, int64_t input, int64_t tap) const;
};
/// nullopt: no plain layer with such weights (a Gemm's alpha, beta or transA say otherwise).
std::optional<ChainWeights> chain_weights(const Graph& graph, const Node& node);

/// What a channel's numbers lie between.
struct ChannelRange {
  double low = 0;
  double high = 0;
};

struct ChannelChain {
  NodeId producer;
  std::vector<NodeId> between;  // in order
  NodeId consumer;
  /// At the consumer's input.
  std::vector<ChannelRange> ranges;
};

/// Of a Conv of one group or a Gemm whose channels one other such layer alone adds up; between them
/// Relu, Clip, quantizers with one scale, depthwise convolutions, pools and, once there is one
/// number a channel, Flatten and Reshape. Ranges are those that the weights and the type of a
/// quantized input allow; infinite where nothing bounds them.
std::optional<ChannelChain> channel_chain(const Graph& graph, NodeId producer);

/// The reals that a layer adds to each of its channels: 0 without bias. nullopt: not constant.
std::optional<std::vector<double>> chain_bias(const Graph& graph, const Node& node,
                                              int64_t channels);

/// Whether a Conv or pool has padding.
bool has_padding(const Node& node);

}  // namespace lathe
