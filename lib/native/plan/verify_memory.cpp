// Who may share memory with whom.
#include <algorithm>
#include <map>
#include <numeric>
#include <queue>

#include "ir/error.h"
#include "plan/plan_check.h"

namespace lathe {
namespace {

bool same_elements(const PlanView& a, const PlanView& b) {
  return a.block == b.block && a.offset == b.offset && a.shape == b.shape &&
         a.strides == b.strides && dtype_bits(a.dtype) == dtype_bits(b.dtype);
}

/// Where the bytes of a view lie modulo `period`: from `begin` up to `end`, which is at most
/// `period`. False: all over.
bool range_within(const PlanView& view, int64_t period, ByteRange& range) {
  const int64_t size = dtype_bits(view.dtype) / 8;
  int64_t begin = view.offset * size;
  int64_t reach = 0;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    const int64_t stride = view.strides[i] * size;
    if (view.shape[i] <= 1 || stride % period == 0) continue;
    if (stride < 0) return false;
    reach += (view.shape[i] - 1) * stride;
  }
  begin %= period;
  range = {begin, begin + reach + size};
  return range.end <= period;
}

/// A period of the addresses that shows that two views have no byte in common: ranges of channels
/// of the same pixels, of rows of the same images.
bool interleave(const PlanView& a, const PlanView& b) {
  for (const PlanView* view : {&a, &b}) {
    for (size_t i = 0; i < view->shape.size(); ++i) {
      const int64_t period = view->strides[i] * (dtype_bits(view->dtype) / 8);
      ByteRange one;
      ByteRange other;
      if (period > 0 && view->shape[i] > 1 && range_within(a, period, one) &&
          range_within(b, period, other) && (one.end <= other.begin || other.end <= one.begin))
        return true;
    }
  }
  return false;
}

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
    const ByteRange written = check.range(to);
    for (const ViewId read : views.reads) {
      const PlanView& from = check.view(read);
      if (from.block != to.block || element_count(from.shape) == 0) continue;
      const ByteRange range = check.range(from);
      if (range.end <= written.begin || written.end <= range.begin || interleave(from, to))
        continue;
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
