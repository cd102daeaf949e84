#include "prune/training_masks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "ir/error.h"

namespace lathe {
namespace {

Parameter& trained_parameter(TrainableGraph& graph, ValueId constant) {
  Parameter* parameter = graph.find(constant);
  if (parameter == nullptr)
    throw bad_input("prune.mask", "this weight is not trained, so that no mask can be kept on it",
                    escape_untrusted(graph.graph().value(constant).name),
                    "prune it in one step, without --schedule");
  return *parameter;
}

at::Tensor all_kept(const Parameter& parameter) {
  return at::ones(parameter.tensor->sizes(), at::TensorOptions().dtype(at::kBool));
}

using MasksByConstant = std::map<ValueId, at::Tensor>;

// A reader outside of the group would lose what it needs.
void require_own_weight(const Graph& graph, const std::vector<ChannelGroup>& groups,
                        const ChannelUse& use) {
  std::set<NodeId> known;
  for (const ChannelGroup& group : groups)
    for (const ChannelUse& other : group.uses)
      if (other.constant == use.constant) known.insert(other.node);
  for (const NodeId user : graph.value(use.constant).users)
    if (!known.contains(user))
      throw bad_input("prune.mask", "other nodes read this weight, too",
                      escape_untrusted(graph.value(use.constant).name),
                      "prune it in one step, without --schedule");
}

// Positions of the channels that are `gone`.
std::vector<int64_t> positions_of(const ChannelUse& use, const std::vector<bool>& gone) {
  std::vector<int64_t> positions;
  for (size_t i = 0; i < use.channel.size(); ++i)
    if (use.channel[i] >= 0 && gone[static_cast<size_t>(use.channel[i])])
      positions.push_back(static_cast<int64_t>(i));
  return positions;
}

// Which channels have anything but zeros in the use.
void find_live(const Graph& graph, const ChannelUse& use, std::vector<bool>& live) {
  const Tensor& constant = *graph.constant(use.constant);
  const std::vector<double> values = constant.to_double();
  int64_t inner = 1;
  for (int64_t i = use.axis + 1; i < constant.rank(); ++i)
    inner *= constant.shape()[static_cast<size_t>(i)];
  const auto length = static_cast<int64_t>(use.channel.size());
  for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
    const int32_t channel = use.channel[static_cast<size_t>(i / inner % length)];
    if (channel >= 0 && values[static_cast<size_t>(i)] != 0)
      live[static_cast<size_t>(channel)] = true;
  }
}

}  // namespace

void set_element_masks(TrainableGraph& graph, const std::vector<ElementMask>& masks) {
  for (const ElementMask& mask : masks) {
    if (std::find(mask.keep.begin(), mask.keep.end(), 0) == mask.keep.end()) continue;
    Parameter& parameter = trained_parameter(graph, mask.constant);
    if (parameter.tensor->numel() != static_cast<int64_t>(mask.keep.size()))
      throw InternalError("a mask does not fit " + parameter.name);
    at::Tensor keep = at::empty(parameter.tensor->sizes(), at::TensorOptions().dtype(at::kByte));
    std::copy(mask.keep.begin(), mask.keep.end(), keep.data_ptr<uint8_t>());
    parameter.set_mask(keep);
  }
}

int64_t mask_zeros(TrainableGraph& graph) {
  int64_t zeros = 0;
  for (Parameter& parameter : graph.parameters()) {
    if (parameter.role != ParameterRole::kWeight) continue;
    const at::Tensor first = to_runtime(*graph.graph().constant(parameter.value)).tensor;
    const at::Tensor kept = first.ne(0);
    const int64_t removed = first.numel() - kept.sum().item<int64_t>();
    if (removed == 0) continue;
    zeros += removed;
    parameter.set_mask(kept);
  }
  return zeros;
}

void set_channel_masks(TrainableGraph& graph, const std::vector<ChannelGroup>& groups,
                       const KeptChannels& kept) {
  if (kept.size() != groups.size()) throw InternalError("kept channels of other groups");
  MasksByConstant masks;
  for (size_t g = 0; g < groups.size(); ++g) {
    const ChannelGroup& group = groups[g];
    std::vector<bool> gone(static_cast<size_t>(group.size), true);
    for (const int32_t channel : kept[g]) gone[static_cast<size_t>(channel)] = false;
    for (const ChannelUse& use : group.uses) {
      if (use.role != ChannelRole::kConsumes) continue;
      const std::vector<int64_t> positions = positions_of(use, gone);
      if (positions.empty()) continue;
      require_own_weight(graph.graph(), groups, use);
      const Parameter& parameter = trained_parameter(graph, use.constant);
      at::Tensor& mask = masks.try_emplace(use.constant, all_kept(parameter)).first->second;
      mask.index_fill_(use.axis, at::tensor(positions), 0);
    }
  }
  for (const auto& [constant, mask] : masks) graph.find(constant)->set_mask(mask);
}

void put_idle_channels_first(const Graph& graph, const std::vector<ChannelGroup>& groups,
                             std::vector<GroupScores>& scores) {
  for (size_t g = 0; g < groups.size(); ++g) {
    if (scores[g].scores.empty()) continue;
    std::vector<bool> live(static_cast<size_t>(groups[g].size), false);
    bool consumed = false;
    for (const ChannelUse& use : groups[g].uses) {
      if (use.role != ChannelRole::kConsumes) continue;
      consumed = true;
      find_live(graph, use, live);
    }
    for (size_t c = 0; consumed && c < live.size(); ++c)
      if (!live[c]) scores[g].scores[c] = -1;
  }
}

GradualPruning::GradualPruning(SparsitySchedule schedule, double final_sparsity, SetMasks set)
    : schedule_(schedule), final_sparsity_(final_sparsity), set_(std::move(set)) {}

void GradualPruning::start(TrainableGraph& graph, int64_t steps_done, int64_t steps) {
  changes_ = sparsity_changes(schedule_, final_sparsity_, steps);
  if (changes_.front().step <= steps_done) set_(graph, sparsity_at(changes_, steps_done));
}

void GradualPruning::step(TrainableGraph& graph, int64_t steps_done) {
  const auto due = std::find_if(changes_.begin(), changes_.end(),
                                [&](const SparsityChange& c) { return c.step == steps_done; });
  if (due != changes_.end()) set_(graph, due->sparsity);
}

}  // namespace lathe
