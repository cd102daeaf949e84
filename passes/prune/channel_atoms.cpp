#include "prune/channel_atoms.h"

#include <numeric>

namespace lathe {

Positions ChannelAtoms::add(int64_t count) {
  const auto first = static_cast<Atom>(parent_.size());
  std::vector<Atom> added(static_cast<size_t>(count));
  std::iota(added.begin(), added.end(), first);
  parent_.insert(parent_.end(), added.begin(), added.end());
  members_.resize(parent_.size(), 1);
  reason_.resize(parent_.size(), -1);
  hidden_.resize(parent_.size(), false);
  return std::make_shared<const std::vector<Atom>>(std::move(added));
}

Atom ChannelAtoms::find(Atom atom) const {
  while (parent_[static_cast<size_t>(atom)] != atom) atom = parent_[static_cast<size_t>(atom)];
  return atom;
}

void ChannelAtoms::unite(Atom a, Atom b, const std::string& reason_if_none) {
  if (a == kNoAtom || b == kNoAtom) {
    const Atom other = a == kNoAtom ? b : a;
    if (other != kNoAtom) block({&other, 1}, reason_if_none);
    return;
  }
  a = find(a);
  b = find(b);
  if (a == b) return;
  auto root = static_cast<size_t>(a);
  auto child = static_cast<size_t>(b);
  if (members_[root] < members_[child]) std::swap(root, child);
  parent_[child] = static_cast<Atom>(root);
  members_[root] += members_[child];
  const int32_t other = reason_[child];
  if (other >= 0 && (reason_[root] < 0 || other < reason_[root])) reason_[root] = other;
  if (hidden_[child]) hidden_[root] = true;
}

void ChannelAtoms::block(std::span<const Atom> atoms, const std::string& reason) {
  if (atoms.empty()) return;
  const auto [at, added] = reason_index_.try_emplace(reason, static_cast<int32_t>(reasons_.size()));
  if (added) reasons_.push_back(reason);
  for (const Atom atom : atoms) {
    if (atom == kNoAtom) continue;
    int32_t& slot = reason_[static_cast<size_t>(find(atom))];
    if (slot < 0) slot = at->second;
  }
}

void ChannelAtoms::mark_hidden(std::span<const Atom> atoms) {
  for (const Atom atom : atoms)
    if (atom != kNoAtom) hidden_[static_cast<size_t>(find(atom))] = true;
}

const std::string& ChannelAtoms::blocked(Atom atom) const {
  static const std::string kFree;
  const int32_t reason = reason_[static_cast<size_t>(find(atom))];
  return reason < 0 ? kFree : reasons_[static_cast<size_t>(reason)];
}

Positions ChannelFlows::at(ValueId value, int64_t axis) const {
  if (!value.valid() || static_cast<size_t>(value.index) >= axes.size()) return nullptr;
  const auto& of_value = axes[static_cast<size_t>(value.index)];
  return axis >= 0 && static_cast<size_t>(axis) < of_value.size()
             ? of_value[static_cast<size_t>(axis)]
             : nullptr;
}

}  // namespace lathe
