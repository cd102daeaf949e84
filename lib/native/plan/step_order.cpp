#include "plan/step_order.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

namespace lathe {
namespace {

// States that are followed at once.
constexpr size_t kBeam = 48;

struct StepUse {
  std::vector<size_t> before;   // steps that must have run
  std::vector<int32_t> blocks;  // of the arena, read or written, each once
  int64_t scratch = 0;
};

struct Uses {
  std::vector<StepUse> steps;
  std::vector<int64_t> bytes;   // by block
  std::vector<int32_t> readers;  // by block: steps that use it
};

Uses uses_of(const NativePlan& plan, const std::vector<int64_t>& scratch_bytes) {
  Uses uses;
  for (const PlanBlock& block : plan.blocks) uses.bytes.push_back(block.bytes);
  uses.readers.resize(plan.blocks.size());
  std::map<int32_t, std::vector<std::pair<size_t, bool>>> touched;  // by block: step, writes
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    StepUse& use = uses.steps.emplace_back();
    use.scratch = scratch_bytes[i];
    std::map<int32_t, bool> blocks;
    const StepViews views = views_of(plan.steps[i]);
    for (const ViewId id : views.reads) blocks.emplace(view_of(plan, id).block, false);
    for (const ViewId id : views.writes) blocks[view_of(plan, id).block] = true;
    std::set<size_t> before;
    for (const auto& [block, writes] : blocks) {
      for (const auto& [other, other_writes] : touched[block])
        if (writes || other_writes) before.insert(other);
      touched[block].emplace_back(i, writes);
      if (plan.blocks[static_cast<size_t>(block)].place != BlockPlace::kArena) continue;
      use.blocks.push_back(block);
      ++uses.readers[static_cast<size_t>(block)];
    }
    use.before.assign(before.begin(), before.end());
  }
  return uses;
}

struct State {
  std::vector<size_t> order;
  std::vector<bool> done;
  std::vector<int32_t> left;  // by block: steps that will use it
  int64_t live = 0;
  int64_t peak = 0;
};

void run_step(const Uses& uses, size_t step, State& state) {
  const StepUse& use = uses.steps[step];
  for (const int32_t block : use.blocks) {
    const auto at = static_cast<size_t>(block);
    if (state.left[at] == uses.readers[at]) state.live += uses.bytes[at];
  }
  state.peak = std::max(state.peak, state.live + use.scratch);
  for (const int32_t block : use.blocks) {
    const auto at = static_cast<size_t>(block);
    if (--state.left[at] == 0) state.live -= uses.bytes[at];
  }
  state.done[step] = true;
  state.order.push_back(step);
}

// No order needs less: what one step reads and writes is there at once.
int64_t least_peak(const Uses& uses) {
  int64_t least = 0;
  for (const StepUse& use : uses.steps) {
    int64_t own = use.scratch;
    for (const int32_t block : use.blocks) own += uses.bytes[static_cast<size_t>(block)];
    least = std::max(least, own);
  }
  return least;
}

}  // namespace

std::vector<size_t> order_for_memory(const NativePlan& plan,
                                     const std::vector<int64_t>& scratch_bytes) {
  const Uses uses = uses_of(plan, scratch_bytes);
  std::vector<size_t> own(plan.steps.size());
  std::iota(own.begin(), own.end(), size_t{0});
  const State start{{}, std::vector<bool>(own.size()), uses.readers, 0, 0};
  State as_is = start;
  for (const size_t step : own) run_step(uses, step, as_is);
  if (as_is.peak <= least_peak(uses)) return own;
  std::vector<State> beam{start};
  for (size_t count = 0; count < own.size(); ++count) {
    std::vector<State> next;
    std::set<std::vector<bool>> seen;
    for (const State& state : beam)
      for (size_t step = 0; step < own.size(); ++step) {
        const auto& before = uses.steps[step].before;
        if (state.done[step] ||
            !std::ranges::all_of(before, [&](size_t other) { return state.done[other]; }))
          continue;
        next.push_back(state);
        run_step(uses, step, next.back());
        if (next.back().peak >= as_is.peak) next.pop_back();
      }
    // Earlier steps first among equals.
    std::ranges::stable_sort(next, {}, [](const State& state) {
      return std::tuple(state.peak, state.live, state.order);
    });
    beam.clear();
    for (State& state : next)
      if (beam.size() < kBeam && seen.insert(state.done).second) beam.push_back(std::move(state));
    if (beam.empty()) return own;
  }
  return beam.front().order;
}

NativePlan reordered(const NativePlan& plan, const std::vector<size_t>& order) {
  NativePlan made = plan;
  for (size_t i = 0; i < order.size(); ++i) made.steps[i] = plan.steps[order[i]];
  return made;
}

}  // namespace lathe
