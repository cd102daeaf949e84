// How much the network would miss a channel, by one of several criteria.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prune/channel_groups.h"
#include "run/sample_runner.h"

namespace lathe {

enum class ChannelCriterion : uint8_t {
  kL1,          // sum of magnitudes of the channel's weights
  kL2,          // Euclidean norm
  kFpgm,        // distance to the layer's other filters: He et al., "Filter Pruning via Geometric
                // Median for Deep Convolutional Neural Networks Acceleration", CVPR 2019
  kBnScale,     // |gamma|: Liu et al., "Learning Efficient Convolutional Networks through Network
                // Slimming", ICCV 2017
  kTaylor,      // |sum of weight times gradient|: Molchanov et al., "Importance Estimation for
                // Neural Network Pruning", CVPR 2019
  kActivation,  // mean magnitude of what the channel computes on data
  kRandom,
};

/// "l1", "l2", "fpgm", "bn-scale", "taylor", "activation", "random".
std::string_view criterion_name(ChannelCriterion criterion);
std::optional<ChannelCriterion> criterion_from_name(std::string_view name);

/// What criteria need besides the weights.
struct CriterionData {
  uint64_t seed = 0;  // kRandom
  /// kTaylor: dL/dw of constants, of their shapes (any real type).
  std::map<ValueId, Tensor> gradients;
  /// kActivation: of measure_activations().
  std::vector<std::vector<double>> activations;
};

struct GroupScores {
  std::vector<double> scores;  // one a channel, mean 1 (0 if all are 0); empty for a blocked group
  std::string note;            // what was used instead, when the criterion does not apply
};

/// One entry per group. A channel's number is taken over all of its slices together, those of
/// producing and of consuming weights (kFpgm: producing ones): kL1 and kTaylor add up, kL2 and
/// kFpgm see one long vector. It is divided by the group's mean, so that layers of different scale
/// compare. A group without BatchNormalization is scored by l2 under kBnScale, and without watched
/// activations under kActivation, and says so. Throws Error (exit 3) naming the constant for NaN
/// and infinite weights, and for kTaylor without gradients.
std::vector<GroupScores> score_channels(const Graph& graph, const std::vector<ChannelGroup>& groups,
                                        ChannelCriterion criterion, const CriterionData& data);

/// Mean |value| of every channel over the samples, after the activation or normalization that
/// follows its producer alone. One entry per group, empty where nothing can be watched. The result
/// does not depend on the number of threads. `interpreter` runs the graph that `groups` are of.
std::vector<std::vector<double>> measure_activations(const Interpreter& interpreter,
                                                     const std::vector<ChannelGroup>& groups,
                                                     const SampleSource& source,
                                                     const SampleRunOptions& options);

/// `values` divided by their mean; unchanged when that is 0.
void divide_by_mean(std::vector<double>& values);

}  // namespace lathe
