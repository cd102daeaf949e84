#include "prune/removal.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "ir/error.h"

namespace lathe {

Removal::Removal(const Graph& graph, const std::vector<ChannelGroup>& groups,
                 const KeptChannels& kept)
    : flows_(follow_channels(graph)), removed_(flows_.atoms.size()) {
  if (groups.size() != kept.size())
    throw InternalError("prune: as many lists of kept channels as groups are needed");
  std::map<std::tuple<ValueId, NodeId, int16_t>, const ConstantAxis*> uses;
  for (const ConstantAxis& use : flows_.constants) uses[{use.constant, use.node, use.axis}] = &use;
  for (size_t i = 0; i < groups.size(); ++i) {
    const ChannelGroup& group = groups[i];
    std::vector<bool> stays(static_cast<size_t>(group.size));
    for (const int32_t channel : kept[i]) {
      if (channel < 0 || channel >= group.size)
        throw InternalError("prune: a kept channel is out of range");
      stays[static_cast<size_t>(channel)] = true;
    }
    const auto left = std::count(stays.begin(), stays.end(), true);
    if (left == group.size) continue;
    if (left == 0) throw InternalError("prune: a group would lose all its channels");
    if (!group.blocked.empty()) throw InternalError("prune: a blocked group would lose channels");
    channels_ += group.size - static_cast<int>(left);
    for (const ChannelUse& use : group.uses) {
      const auto found = uses.find({use.constant, use.node, use.axis});
      if (found == uses.end() || found->second->atoms->size() != use.channel.size())
        throw InternalError("prune: the groups are of another graph");
      for (size_t k = 0; k < use.channel.size(); ++k)
        if (use.channel[k] >= 0 && !stays[static_cast<size_t>(use.channel[k])])
          removed_[static_cast<size_t>(flows_.atoms.find((*found->second->atoms)[k]))] = true;
    }
  }
}

bool Removal::removes(Atom atom) const {
  return atom != kNoAtom && removed_[static_cast<size_t>(flows_.atoms.find(atom))];
}

std::optional<std::vector<int64_t>> Removal::kept(const Positions& positions) const {
  if (!positions) return std::nullopt;
  std::vector<int64_t> stay;
  for (size_t i = 0; i < positions->size(); ++i)
    if (!removes((*positions)[i])) stay.push_back(static_cast<int64_t>(i));
  if (stay.size() == positions->size()) return std::nullopt;
  return stay;
}

std::optional<std::vector<int64_t>> Removal::kept(ValueId value, int64_t axis) const {
  return kept(flows_.at(value, axis));
}

Dims Removal::left(ValueId value, const Dims& dims) const {
  Dims out = dims;
  for (size_t axis = 0; axis < dims.size(); ++axis)
    if (const auto stay = kept(value, static_cast<int64_t>(axis)))
      out[axis] = Dim::of(static_cast<int64_t>(stay->size()));
  return out;
}

bool Removal::touches(ValueId value) const {
  if (!value.valid() || static_cast<size_t>(value.index) >= flows_.axes.size()) return false;
  const auto& axes = flows_.axes[static_cast<size_t>(value.index)];
  return std::any_of(axes.begin(), axes.end(),
                     [&](const Positions& positions) { return kept(positions).has_value(); });
}

}  // namespace lathe
