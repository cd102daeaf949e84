// Atoms: one for every position of an axis that a layer produces. What must be removed together is
// united; a class of atoms is a channel.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "prune/channel_groups.h"

namespace lathe {

using Atom = int32_t;
/// A position that belongs to no channel and always stays (a part of a Concat that is no layer's).
constexpr Atom kNoAtom = -1;

/// The atoms of an axis, one per position. nullptr: nothing is known of the axis.
using Positions = std::shared_ptr<const std::vector<Atom>>;

/// Positions kept in one analysis; beyond it axes are no longer followed (hostile shapes).
constexpr size_t kMaxPositions = size_t{1} << 25;

class ChannelAtoms {
 public:
  /// New atoms with consecutive numbers.
  Positions add(int64_t count);
  /// The atom that stands for the class.
  Atom find(Atom atom) const;
  /// Blocks the other one when one is kNoAtom.
  void unite(Atom a, Atom b, const std::string& reason_if_none);
  /// The first reason that a class is given stays.
  void block(std::span<const Atom> atoms, const std::string& reason);
  /// Units of a recurrent layer, or attention heads.
  void mark_hidden(std::span<const Atom> atoms);

  /// Empty: not blocked.
  const std::string& blocked(Atom atom) const;
  bool hidden(Atom atom) const { return hidden_[static_cast<size_t>(find(atom))]; }
  size_t size() const { return parent_.size(); }

 private:
  std::vector<Atom> parent_;
  std::vector<int32_t> members_;
  std::vector<int32_t> reason_;  // -1: not blocked
  std::vector<bool> hidden_;
  std::vector<std::string> reasons_;
  std::map<std::string, int32_t> reason_index_;
};

/// An axis of a constant whose positions are channels.
struct ConstantAxis {
  ValueId constant;
  NodeId node;
  int16_t axis = 0;
  ChannelRole role = ChannelRole::kProduces;
  Positions atoms;
};

/// A layer whose output channels are its own.
struct Producer {
  NodeId node;
  Positions atoms;
};

/// A node that brought channels of several origins together.
struct Meeting {
  NodeId node;
  Atom atom;
};

/// A Reshape that cuts an axis into several, of which one can carry the channels.
struct CutAxis {
  NodeId node;
  int options = 0;
  int taken = 0;
  Positions atoms;
};

/// All that one walk over a graph finds.
struct ChannelFlows {
  ChannelAtoms atoms;
  std::vector<std::vector<Positions>> axes;  // by value index, then axis; may be shorter
  std::vector<ConstantAxis> constants;       // in the order of the walk
  std::vector<Producer> producers;
  std::vector<Meeting> meetings;
  std::vector<CutAxis> cuts;
  size_t positions = 0;

  Positions at(ValueId value, int64_t axis) const;
};

/// Walks the graph. Where a Reshape leaves a choice, the one that leaves most channels free is
/// taken; the result is the same for equal graphs.
ChannelFlows follow_channels(const Graph& graph);

}  // namespace lathe
