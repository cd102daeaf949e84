// Small networks with hand-made channel groups: what scoring, choosing and repairing are tried on
// without the code that finds and removes channels.
#pragma once

#include <cstdint>
#include <vector>

#include "prune/channel_groups.h"
#include "prune/prune_plan.h"
#include "run/sample_runner.h"

namespace lathe::test {

struct ScoreCase {
  Graph graph;
  std::vector<ChannelGroup> groups;
};

/// Normal numbers that the seed fixes.
Tensor normal_tensor(const Shape& shape, uint64_t seed, float scale = 1);

/// x[1,3,8,8] -> Conv "first" (8, 3x3, padded) -> BatchNormalization "norm" -> Relu
///   -> Conv "second" (6, 3x3, stride 2) -> Relu -> Flatten -> Gemm "last" (5).
/// Groups: "first" (8 channels) and "second" (6 channels, nine pixels each in "last").
ScoreCase small_network();

/// By the sums of squared weights.
RemovalOrder order_of(const ScoreCase& network, const ChoiceOptions& options = {});

/// Takes the removed channels out of the constants; enough for graphs whose attributes hold no
/// sizes.
Graph sliced(const ScoreCase& network, const KeptChannels& kept);

/// Samples for one input of the shape: neighbours are alike, and all elements have a part in
/// common, so that what is missing can be told from what is left.
SampleSource smooth_samples(const Shape& shape, size_t count, uint64_t seed = 1);

}  // namespace lathe::test
