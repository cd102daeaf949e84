#include "lower/step_users.h"

#include <algorithm>

#include "lower/improve_plan.h"

namespace lathe {

std::vector<BlockUse> block_uses(const NativePlan& plan) {
  std::vector<BlockUse> uses(plan.blocks.size());
  const auto add = [&](std::vector<size_t> BlockUse::*side, ViewId id, size_t step) {
    const auto block = static_cast<size_t>(plan.views[static_cast<size_t>(id.index)].block);
    std::vector<size_t>& steps = uses[block].*side;
    if (steps.empty() || steps.back() != step) steps.push_back(step);
  };
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const StepViews views = views_of(plan.steps[i]);
    for (const ViewId id : views.reads) add(&BlockUse::readers, id, i);
    for (const ViewId id : views.writes) add(&BlockUse::writers, id, i);
  }
  return uses;
}

void erase_steps(NativePlan& plan, const std::vector<bool>& erased) {
  size_t kept = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    if (!erased[i]) {
      if (kept != i) plan.steps[kept] = std::move(plan.steps[i]);
      ++kept;
    }
  plan.steps.resize(kept);
}

int erase_unread_steps(NativePlan& plan) {
  std::vector<bool> read(plan.blocks.size(), false);
  for (size_t i = 0; i < plan.blocks.size(); ++i)
    read[i] = plan.blocks[i].place == BlockPlace::kOutput;
  std::vector<bool> erased(plan.steps.size(), false);
  int changes = 0;
  for (size_t i = plan.steps.size(); i-- > 0;) {
    const StepViews views = views_of(plan.steps[i]);
    const auto block_of = [&](ViewId id) {
      return static_cast<size_t>(plan.views[static_cast<size_t>(id.index)].block);
    };
    // Fallback partitions also write slots.
    const bool needed = std::holds_alternative<FallbackStep>(plan.steps[i].kind) ||
                        std::any_of(views.writes.begin(), views.writes.end(),
                                    [&](ViewId id) { return read[block_of(id)]; });
    if (needed) {
      for (const ViewId id : views.reads) read[block_of(id)] = true;
    } else {
      erased[i] = true;
      ++changes;
    }
  }
  erase_steps(plan, erased);
  return changes;
}

}  // namespace lathe
