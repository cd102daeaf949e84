// Which channels of each group stay, and why: plain data that reports print and remove_channels
// executes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "os/glob.h"
#include "profiles/profile.h"
#include "prune/channel_scores.h"
#include "prune/element_masks.h"

namespace lathe {

struct GroupPlan {
  std::string name;
  std::string description;
  int32_t size = 0;
  std::vector<int32_t> kept;   // ascending, never empty
  std::vector<double> scores;  // empty for groups that are left alone
  std::string reason;          // why it is left alone or otherwise than asked; empty: as asked
  bool prunable = false;
};

struct PrunePlan {
  std::vector<GroupPlan> groups;  // in the order of find_channel_groups
  int64_t channels = 0;           // of prunable groups
  int64_t removed = 0;
  double cost_share = 1;  // with a budget: what is left of it
  KeptChannels kept() const;
};

/// Which groups a structure prunes.
enum class GroupKind : uint8_t { kChannels, kHiddenUnits, kAll };

struct ChoiceOptions {
  PruneScope scope = PruneScope::kLayer;
  GroupKind kind = GroupKind::kChannels;
  /// A group takes part when a producing node of it is included (empty: all) and none is excluded,
  /// by node name or `op:TYPE`; the group's name counts as a node name.
  std::vector<Selector> include;
  std::vector<Selector> exclude;
  /// Kept channels are rounded up to a multiple of this (never above the group's size).
  int64_t round_to = 1;
  /// Only for groups of at least four times as many channels (--round-to auto).
  bool round_large_only = false;
  /// Nothing prunable is no error: the plan is then empty.
  bool allow_nothing = false;
  /// Channels that groups had before they were first pruned, by name, where that is known: sparsity
  /// is a share of these, so that a pruned network at the same sparsity loses nothing more.
  std::map<std::string, int64_t> original_sizes;
};

/// float32 lanes of the profile's widest vectors: 16 with AVX-512, 8 with AVX, 4 with SSE, NEON and
/// Helium, 1 otherwise.
int64_t vector_width(const Profile& profile);

/// The channels in the order in which they go, weakest first; every prefix is a choice. By score
/// with scope kGlobal; with kLayer by rank within the group, so that all groups shrink alike. Ties
/// by group, then by index (the earlier goes first). Each group's best channel never goes.
class RemovalOrder {
 public:
  /// Throws Error (exit 3) that says of each group why, when none can be pruned.
  RemovalOrder(const Graph& graph, const std::vector<ChannelGroup>& groups,
               const std::vector<GroupScores>& scores, const ChoiceOptions& options);

  /// Channels that can go.
  int64_t removable() const { return static_cast<int64_t>(order_.size()); }
  /// The plan after the first `count` channels are gone, before rounding up.
  PrunePlan plan(int64_t count) const;
  /// The plan with exactly kept_count(sparsity, size) channels of each group (kLayer, at least
  /// one), or of all prunable groups together (kGlobal), before rounding up. Throws Error (exit 2)
  /// for a sparsity outside 0..1.
  PrunePlan plan_sparsity(double sparsity) const;
  /// The plan with so many channels of each group gone, the weakest of it; at least one stays.
  PrunePlan plan_counts(const std::vector<int64_t>& removed) const;

 private:
  struct Channel {
    double key = 0;
    int32_t group = 0;
    int32_t index = 0;
  };

  PrunePlan finish(std::vector<int64_t> removed) const;
  int64_t rounded_up(int64_t kept, int64_t size) const;
  int64_t original_size(const GroupPlan& group) const;

  ChoiceOptions options_;
  PrunePlan start_;
  int64_t lone_ = 0;           // groups of which one channel is left
  int64_t lone_original_ = 0;  // what they had
  std::vector<std::vector<int32_t>> ranking_;  // by group: weakest channel first
  std::vector<Channel> order_;
};

}  // namespace lathe
