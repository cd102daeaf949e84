#include "prune/channel_scores.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "prune/prunable_weights.h"
#include "run/threads.h"

namespace lathe {
namespace {

using Numbers = std::vector<double>;

constexpr std::array<std::string_view, 7> kNames = {"l1",     "l2",         "fpgm",  "bn-scale",
                                                    "taylor", "activation", "random"};

bool is_input_of(const Node& node, ValueId constant, const std::vector<size_t>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [&](size_t i) { return node.input(i) == constant; });
}

bool is_weight_use(const Graph& graph, const ChannelUse& use) {
  const Node& node = graph.node(use.node);
  return is_input_of(node, use.constant, weight_inputs(node));
}

// Uses that the norms look at: weights; of a group that has none (an embedding), all matrices.
std::vector<const ChannelUse*> weight_uses(const Graph& graph, const ChannelGroup& group) {
  std::vector<const ChannelUse*> weights;
  std::vector<const ChannelUse*> matrices;
  for (const ChannelUse& use : group.uses) {
    if (is_weight_use(graph, use)) weights.push_back(&use);
    if (graph.constant(use.constant)->rank() >= 2) matrices.push_back(&use);
  }
  return weights.empty() ? matrices : weights;
}

// visit(channel, index of element) for every element that belongs to a channel.
template <class Visit>
void for_each_element(const Shape& shape, const ChannelUse& use, Visit visit) {
  size_t outer = 1;
  size_t inner = 1;
  for (size_t i = 0; i < shape.size(); ++i)
    if (static_cast<int16_t>(i) != use.axis)
      (static_cast<int16_t>(i) < use.axis ? outer : inner) *= static_cast<size_t>(shape[i]);
  const size_t length = use.channel.size();
  for (size_t o = 0; o < outer; ++o)
    for (size_t position = 0; position < length; ++position) {
      if (use.channel[position] < 0) continue;
      for (size_t i = 0; i < inner; ++i)
        visit(static_cast<size_t>(use.channel[position]), (o * length + position) * inner + i);
    }
}

// Adds |w| or w^2 of each channel's slice.
void add_magnitudes(const Graph& graph, const ChannelUse& use, bool squared, Numbers& sums) {
  const Numbers weights = finite_weights(graph, use.constant);
  for_each_element(graph.constant(use.constant)->shape(), use, [&](size_t channel, size_t at) {
    sums[channel] += squared ? weights[at] * weights[at] : std::fabs(weights[at]);
  });
}

// Sum of distances to the other channels' slices: smallest for the channel nearest the geometric
// median, which the others represent best.
Numbers summed_distances(const std::vector<Numbers>& slices) {
  size_t longest = 0;
  for (const Numbers& slice : slices) longest = std::max(longest, slice.size());
  const auto size = static_cast<int64_t>(slices.size());
  const at::Tensor matrix =
      at::zeros({size, static_cast<int64_t>(longest)}, at::TensorOptions().dtype(at::kDouble));
  for (size_t c = 0; c < slices.size(); ++c)
    std::copy(slices[c].begin(), slices[c].end(), matrix.data_ptr<double>() + c * longest);
  const SerialBlas serial;
  const SingleThreaded single;
  const at::Tensor sums = at::cdist(matrix, matrix).sum(1).contiguous();
  return {sums.data_ptr<double>(), sums.data_ptr<double>() + size};
}

// Empty when there is no gradient of the constant.
Numbers first_order_change(const Graph& graph, const ChannelUse& use, int32_t size,
                           const std::map<ValueId, Tensor>& gradients) {
  const auto found = gradients.find(use.constant);
  if (found == gradients.end()) return {};
  if (found->second.shape() != graph.constant(use.constant)->shape())
    throw InternalError("a gradient does not have its constant's shape");
  const Numbers weights = finite_weights(graph, use.constant);
  const Numbers gradient = found->second.to_double();
  Numbers sums(static_cast<size_t>(size), 0.0);
  for_each_element(graph.constant(use.constant)->shape(), use,
                   [&](size_t channel, size_t at) { sums[channel] += weights[at] * gradient[at]; });
  for (double& sum : sums) {
    if (!std::isfinite(sum))
      throw bad_input("prune.non_finite_gradient",
                      fmt::format("the gradient of constant '{}' is not finite",
                                  escape_untrusted(graph.value(use.constant).name)));
    sum = std::fabs(sum);
  }
  return sums;
}

Numbers norm_scores(const Graph& graph, const ChannelGroup& group, bool squared) {
  const std::vector<const ChannelUse*> uses = weight_uses(graph, group);
  if (uses.empty()) return {};
  Numbers sums(static_cast<size_t>(group.size), 0.0);
  for (const ChannelUse* use : uses) add_magnitudes(graph, *use, squared, sums);
  if (squared)
    for (double& sum : sums) sum = std::sqrt(sum);
  return sums;
}

Numbers distance_scores(const Graph& graph, const ChannelGroup& group) {
  const std::vector<const ChannelUse*> uses = weight_uses(graph, group);
  const auto produces = [](const ChannelUse* use) { return use->role == ChannelRole::kProduces; };
  const bool producers = std::any_of(uses.begin(), uses.end(), produces);
  if (uses.empty()) return {};
  std::vector<Numbers> slices(static_cast<size_t>(group.size));
  for (const ChannelUse* use : uses) {
    if (producers && !produces(use)) continue;
    const Numbers weights = finite_weights(graph, use->constant);
    for_each_element(graph.constant(use->constant)->shape(), *use,
                     [&](size_t channel, size_t at) { slices[channel].push_back(weights[at]); });
  }
  return summed_distances(slices);
}

Numbers scale_scores(const Graph& graph, const ChannelGroup& group) {
  Numbers sums;
  for (const ChannelUse& use : group.uses) {
    const Node& node = graph.node(use.node);
    if (node.kind != OpKind::kBatchNormalization || node.input(1) != use.constant) continue;
    sums.resize(static_cast<size_t>(group.size), 0.0);
    add_magnitudes(graph, use, false, sums);
  }
  return sums;
}

Numbers taylor_scores(const Graph& graph, const ChannelGroup& group,
                      const std::map<ValueId, Tensor>& gradients) {
  Numbers total;
  for (const ChannelUse* use : weight_uses(graph, group)) {
    const Numbers change = first_order_change(graph, *use, group.size, gradients);
    total.resize(std::max(total.size(), change.size()), 0.0);
    for (size_t i = 0; i < change.size(); ++i) total[i] += change[i];
  }
  if (total.empty())
    throw bad_input(
        "prune.no_gradient",
        fmt::format("there is no gradient of any weight of '{}'", escape_untrusted(group.name)), {},
        "the loss does not depend on it: --exclude it, or use --criterion l2");
  return total;
}

Numbers random_scores(int32_t size, uint64_t seed, uint64_t stream) {
  SeededRandom random(seed, stream);
  Numbers scores(static_cast<size_t>(size));
  for (double& score : scores) score = static_cast<double>(random.next() >> 11) * 0x1p-53;
  return scores;
}

}  // namespace

std::string_view criterion_name(ChannelCriterion criterion) {
  return kNames.at(static_cast<size_t>(criterion));
}

std::optional<ChannelCriterion> criterion_from_name(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ChannelCriterion>(found - kNames.begin());
}

void divide_by_mean(std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  if (sum <= 0) return;
  const double mean = sum / static_cast<double>(values.size());
  for (double& value : values) value /= mean;
}

std::vector<GroupScores> score_channels(const Graph& graph, const std::vector<ChannelGroup>& groups,
                                        ChannelCriterion criterion, const CriterionData& data) {
  std::vector<GroupScores> all(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const ChannelGroup& group = groups[i];
    if (!group.blocked.empty()) continue;
    Numbers& scores = all[i].scores;
    switch (criterion) {
      case ChannelCriterion::kL1: scores = norm_scores(graph, group, false); break;
      case ChannelCriterion::kL2: scores = norm_scores(graph, group, true); break;
      case ChannelCriterion::kFpgm: scores = distance_scores(graph, group); break;
      case ChannelCriterion::kBnScale: scores = scale_scores(graph, group); break;
      case ChannelCriterion::kTaylor: scores = taylor_scores(graph, group, data.gradients); break;
      case ChannelCriterion::kActivation:
        if (i < data.activations.size()) scores = data.activations[i];
        break;
      case ChannelCriterion::kRandom: scores = random_scores(group.size, data.seed, i); break;
    }
    if (scores.empty()) {
      scores = norm_scores(graph, group, true);
      if (!scores.empty())
        all[i].note = fmt::format("{} does not apply here: l2 instead", criterion_name(criterion));
    }
    if (scores.empty()) scores.assign(static_cast<size_t>(group.size), 1.0);
    divide_by_mean(scores);
  }
  return all;
}

}  // namespace lathe
