// Who may share memory with whom.
#include <algorithm>
#include <map>
#include <queue>

#include "ir/error.h"
#include "plan/plan_check.h"
#include "plan/view_overlap.h"

namespace lathe {
namespace {

/// The step may write to the very elements that it reads there.
bool in_place(const StepKind& kind, ViewId read) {
  if (std::holds_alternative<ElementwiseProgramStep>(kind) ||
      std::holds_alternative<LookupStep>(kind) || std::holds_alternative<SoftmaxStep>(kind) ||
      std::holds_alternative<LayerNormStep>(kind))
    return true;
  if (const auto* convolution = std::get_if<FloatConvStep>(&kind))
    return convolution->tail.sum == read && convolution->input != read;
  if (const auto* matrices = std::get_if<FloatMatMulStep>(&kind))
    return matrices->tail.sum == read && matrices->a != read && matrices->b != read;
  return false;
}

}  // namespace

void verify_apart(const PlanCheck& check, const PlanStep& step) {
  const StepViews views = views_of(step);
  for (const ViewId write : views.writes) {
    const PlanView& to = check.view(write);
    if (element_count(to.shape) == 0) continue;
    check.range(to);
    for (const ViewId read : views.reads) {
      const PlanView& from = check.view(read);
      if (element_count(from.shape) == 0) continue;
      check.range(from);
      if (!may_share_bytes(from, to)) continue;
      check.require(same_elements(from, to) && in_place(step.kind, read),
                    "what is written overlaps what is read");
    }
  }
}

std::vector<BlockLife> block_lives(const NativePlan& plan) {
  std::vector<BlockLife> lives(plan.blocks.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const StepViews views = views_of(plan.steps[i]);
    for (const std::vector<ViewId>* side : {&views.reads, &views.writes}) {
      for (const ViewId id : *side) {
        BlockLife& life =
            lives[static_cast<size_t>(plan.views[static_cast<size_t>(id.index)].block)];
        life.first = std::min(life.first, static_cast<int32_t>(i));
        life.last = static_cast<int32_t>(i);
      }
    }
  }
  return lives;
}

void verify_arena(const NativePlan& plan) {
  const std::vector<BlockLife> lives = block_lives(plan);
  std::vector<size_t> order;
  for (size_t i = 0; i < plan.blocks.size(); ++i)
    if (plan.blocks[i].place == BlockPlace::kArena && lives[i].last >= 0 &&
        plan.blocks[i].bytes > 0)
      order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lives[a].first < lives[b].first; });
  std::map<int64_t, size_t> alive;  // by offset
  const auto ends_later = [&](size_t a, size_t b) { return lives[a].last > lives[b].last; };
  std::priority_queue<size_t, std::vector<size_t>, decltype(ends_later)> ending(ends_later);
  for (const size_t i : order) {
    while (!ending.empty() && lives[ending.top()].last < lives[i].first) {
      alive.erase(plan.blocks[ending.top()].offset);
      ending.pop();
    }
    const PlanBlock& block = plan.blocks[i];
    const auto next = alive.lower_bound(block.offset);
    bool overlaps = next != alive.end() && next->first < block.offset + block.bytes;
    if (next != alive.begin()) {
      const PlanBlock& before = plan.blocks[std::prev(next)->second];
      overlaps |= before.offset + before.bytes > block.offset;
    }
    if (overlaps)
      PlanCheck(plan, "step " + std::to_string(lives[i].first))
          .fail("two arrays that are needed at the same time share memory");
    alive.emplace(block.offset, i);
    ending.push(i);
  }
}

}  // namespace lathe
