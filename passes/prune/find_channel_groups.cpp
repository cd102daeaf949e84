#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ir/error.h"
#include "ir/listed.h"
#include "prune/channel_atoms.h"

namespace lathe {
namespace {

// Channels told apart by the axes that they are on. Two channels of one group are on exactly the
// same axes, so that a group that keeps one channel leaves no axis empty.
class Partition {
 public:
  explicit Partition(const ChannelFlows& flows) : flows_(flows), part_(flows.atoms.size(), 0) {}

  void refine(const std::vector<Atom>& present) {
    std::map<int32_t, int32_t> renamed;
    std::vector<Atom> roots;
    for (const Atom atom : present)
      if (atom != kNoAtom) roots.push_back(flows_.atoms.find(atom));
    std::sort(roots.begin(), roots.end());
    roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
    for (const Atom root : roots) {
      int32_t& part = part_[static_cast<size_t>(root)];
      const auto [at, added] = renamed.try_emplace(part, count_);
      if (added) ++count_;
      part = at->second;
    }
  }

  int32_t part(Atom atom) const { return part_[static_cast<size_t>(flows_.atoms.find(atom))]; }

 private:
  const ChannelFlows& flows_;
  std::vector<int32_t> part_;  // by root
  int32_t count_ = 1;
};

Partition partition(const ChannelFlows& flows) {
  Partition parts(flows);
  std::set<const std::vector<Atom>*> seen;
  for (const auto& axes : flows.axes)
    for (const Positions& positions : axes)
      if (positions && seen.insert(positions.get()).second) parts.refine(*positions);
  for (const ConstantAxis& use : flows.constants)
    if (seen.insert(use.atoms.get()).second) parts.refine(*use.atoms);
  std::map<std::string, std::vector<Atom>> blocked;
  for (const Producer& producer : flows.producers) {
    if (seen.insert(producer.atoms.get()).second) parts.refine(*producer.atoms);
    for (const Atom atom : *producer.atoms)
      if (const std::string& reason = flows.atoms.blocked(atom); !reason.empty())
        blocked[reason].push_back(atom);
  }
  for (const auto& [reason, atoms] : blocked) parts.refine(atoms);
  return parts;
}

struct Names {
  std::vector<std::string> producers;
  std::vector<std::string> meetings;
  std::vector<std::string> consumers;
};

void add_once(std::vector<std::string>& names, const Graph& graph, NodeId node) {
  const std::string name = escape_untrusted(graph.node(node).name);
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::string describe(const Names& names, int32_t size) {
  constexpr size_t kShown = 6;
  std::string text =
      fmt::format("{} ({} channel{})", names.producers.front(), size, size == 1 ? "" : "s");
  if (names.producers.size() > 1)
    text += " with " + listed({names.producers.begin() + 1, names.producers.end()}, kShown);
  if (!names.meetings.empty()) text += ", through " + listed(names.meetings, kShown);
  if (!names.consumers.empty()) text += "; read by " + listed(names.consumers, kShown);
  return text;
}

}  // namespace

std::vector<ChannelGroup> find_channel_groups(const Graph& graph) {
  const ChannelFlows flows = follow_channels(graph);
  const Partition parts = partition(flows);
  std::vector<ChannelGroup> groups;
  std::vector<Names> names;
  std::map<int32_t, size_t> group_of;                    // by part
  std::vector<int32_t> channel(flows.atoms.size(), -1);  // by root
  std::map<std::string, int> named;
  for (const Producer& producer : flows.producers) {
    for (const Atom atom : *producer.atoms) {
      const Atom root = flows.atoms.find(atom);
      const auto [at, added] = group_of.try_emplace(parts.part(root), groups.size());
      if (added) {
        ChannelGroup group;
        group.name = graph.node(producer.node).name;
        if (const int again = named[group.name]++; again > 0)
          group.name += fmt::format("/{}", again + 1);
        group.blocked = flows.atoms.blocked(root);
        group.hidden_units = flows.atoms.hidden(root);
        groups.push_back(std::move(group));
        names.emplace_back();
      }
      int32_t& number = channel[static_cast<size_t>(root)];
      if (number < 0) number = groups[at->second].size++;
      if (names[at->second].producers.empty() ||
          names[at->second].producers.back() != escape_untrusted(graph.node(producer.node).name))
        add_once(names[at->second].producers, graph, producer.node);
    }
  }
  for (const Meeting& meeting : flows.meetings)
    if (const auto at = group_of.find(parts.part(meeting.atom)); at != group_of.end())
      add_once(names[at->second].meetings, graph, meeting.node);
  for (const ConstantAxis& use : flows.constants) {
    std::map<size_t, std::vector<int32_t>> of_group;
    for (size_t i = 0; i < use.atoms->size(); ++i) {
      if ((*use.atoms)[i] == kNoAtom) continue;
      const auto at = group_of.find(parts.part((*use.atoms)[i]));
      if (at == group_of.end()) continue;
      auto& numbers = of_group.try_emplace(at->second, use.atoms->size(), -1).first->second;
      numbers[i] = channel[static_cast<size_t>(flows.atoms.find((*use.atoms)[i]))];
    }
    for (auto& [group, numbers] : of_group) {
      groups[group].uses.push_back(
          {use.constant, use.node, use.axis, use.role, std::move(numbers)});
      if (use.role == ChannelRole::kConsumes) add_once(names[group].consumers, graph, use.node);
    }
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i].description = describe(names[i], groups[i].size);
    if (groups[i].blocked.empty() && groups[i].size == 1)
      groups[i].blocked = "a single channel: nothing of it can be removed alone";
  }
  return groups;
}

}  // namespace lathe
