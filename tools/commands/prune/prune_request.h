// The flags of `lathe prune`, read and checked once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "heavy/node_selection.h"
#include "options.h"
#include "profiles/profile.h"
#include "prune/channel_scores.h"
#include "prune/element_masks.h"
#include "prune/sparsity_schedule.h"

namespace lathe {

enum class PruneStructure : uint8_t { kElement, kTwoOfFour, kBlock1x4, kChannel, kUnit };
std::string_view structure_name(PruneStructure structure);

/// What decides how much goes.
enum class PruneTarget : uint8_t { kSparsity, kBudget, kMaxDrop };

struct PruneRequest {
  PruneStructure structure = PruneStructure::kElement;
  PruneTarget target = PruneTarget::kSparsity;
  double share = 0;           // sparsity (removed), or budget (left)
  std::string budget_metric;  // macs, params, bytes, latency
  std::optional<double> max_drop;
  ChannelCriterion criterion = ChannelCriterion::kL1;
  PruneScope scope = PruneScope::kLayer;
  int64_t round_to = 1;
  bool round_large_only = false;
  NodeSelection nodes;
  std::optional<SparsitySchedule> schedule;  // polynomial
  int64_t samples = 2000;

  bool removes() const {
    return structure == PruneStructure::kChannel || structure == PruneStructure::kUnit;
  }
};

/// Throws Error (exit 2) that names the flag for values and combinations that make no sense.
PruneRequest prune_request(const PruneOptions& options, const Profile& profile);

}  // namespace lathe
