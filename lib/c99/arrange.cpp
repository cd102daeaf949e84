#include "c99/arrange.h"

#include <algorithm>
#include <tuple>

#include "c99/code_context.h"
#include "c99/fast_arena.h"
#include "plan/step_order.h"

namespace lathe {
namespace {

constexpr int64_t kCounts[] = {2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32};
// Placing arrays takes longer than telling what they need at least.
constexpr size_t kMostPlaced = 12;

std::vector<StepNeeds> all_needs(const NativePlan& plan) {
  std::vector<StepNeeds> needs;
  for (const PlanStep& step : plan.steps) {
    if (std::holds_alternative<FallbackStep>(step.kind))
      refuse_step(step, "there is no kernel for this op");
    needs.push_back(needs_of(plan, step));
  }
  return needs;
}

Arrangement placed(const NativePlan& plan, int64_t alignment) {
  const std::vector<StepNeeds> needs = all_needs(plan);
  Arrangement made{plan, place_arena(plan, needs, alignment), {}, {}, 0};
  std::vector<int64_t> scratch;
  for (const StepNeeds& each : needs) scratch.push_back(each.scratch_bytes);
  const std::vector<size_t> order = order_for_memory(plan, scratch);
  if (std::ranges::is_sorted(order)) return made;
  NativePlan other = reordered(plan, order);
  std::vector<StepNeeds> moved;
  for (const size_t step : order) moved.push_back(needs[step]);
  Arena smaller = place_arena(other, moved, alignment);
  if (smaller.bytes < made.arena.bytes) made = {std::move(other), std::move(smaller), {}, {}, 0};
  return made;
}

struct Candidate {
  Parts parts;
  int64_t macs = 0;
  int64_t least_bytes = 0;  // no arena is smaller
};

std::vector<Candidate> candidates(const NativePlan& plan, int64_t alignment) {
  std::vector<Candidate> all;
  for (size_t steps = 1; steps < plan.steps.size(); ++steps)
    for (const int64_t count : kCounts) {
      const Parts parts{steps, count};
      const auto made = in_parts(plan, parts);
      if (!made) break;
      all.push_back(
          {parts, plan_macs(*made), least_arena_bytes(*made, all_needs(*made), alignment)});
    }
  return all;
}

Arrangement in_one_region(const NativePlan& plan, int64_t alignment, int64_t most_bytes) {
  Arrangement best = placed(plan, alignment);
  if (best.arena.bytes <= most_bytes) return best;
  std::vector<Candidate> all = candidates(plan, alignment);
  const int64_t macs = plan_macs(plan);
  // Those that may fit, the fewest multiplications first; then the smallest.
  std::ranges::stable_sort(all, {}, [&](const Candidate& one) {
    const bool may_fit = one.least_bytes <= most_bytes;
    return std::tuple(!may_fit, may_fit ? one.macs : one.least_bytes, one.parts.count);
  });
  if (all.size() > kMostPlaced) all.resize(kMostPlaced);
  for (const Candidate& one : all) {
    Arrangement made = placed(*in_parts(plan, one.parts), alignment);
    if (made.arena.bytes >= best.arena.bytes) continue;
    best = std::move(made);
    best.parts = one.parts;
    best.extra_macs = one.macs - macs;
    if (best.arena.bytes <= most_bytes) break;
  }
  return best;
}

}  // namespace

Arrangement arrange(const NativePlan& plan, int64_t alignment, int64_t most_bytes,
                    int64_t fast_bytes) {
  Arrangement made = in_one_region(plan, alignment, most_bytes);
  if (fast_bytes <= 0) return made;
  TwoArenas two = split_arena(made.plan, all_needs(made.plan), alignment, fast_bytes);
  made.arena = std::move(two.large);
  made.fast = std::move(two.fast);
  return made;
}

}  // namespace lathe
