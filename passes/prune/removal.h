// What is to be removed, in terms of the walk over the graph.
#pragma once

#include <optional>
#include <vector>

#include "prune/channel_atoms.h"

namespace lathe {

class Removal {
 public:
  /// Throws InternalError when groups and kept channels do not fit the graph or each other.
  Removal(const Graph& graph, const std::vector<ChannelGroup>& groups, const KeptChannels& kept);

  const ChannelFlows& flows() const { return flows_; }
  int channels() const { return channels_; }
  bool removes(Atom atom) const;
  /// Positions that stay, ascending; nullopt when all do.
  std::optional<std::vector<int64_t>> kept(const Positions& positions) const;
  std::optional<std::vector<int64_t>> kept(ValueId value, int64_t axis) const;
  /// `dims` (of `value` before) with the sizes that are left.
  Dims left(ValueId value, const Dims& dims) const;
  bool touches(ValueId value) const;

 private:
  ChannelFlows flows_;
  std::vector<bool> removed_;  // by root
  int channels_ = 0;
};

/// Brings attributes and constants that hold sizes in line. `before` is the graph as it was walked,
/// `graph` the copy that is edited; weights are not touched.
void fix_sizes(const Graph& before, Graph& graph, NodeId node, const Removal& removal);

}  // namespace lathe
