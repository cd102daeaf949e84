#include "c99/fast_arena.h"

#include <algorithm>

namespace lathe {
namespace {

struct Wanted {
  bool is_scratch = false;
  size_t index = 0;  // of a block or a step
  double uses = 0;   // how often each byte is read or written
};

// Bytes that the steps read and write of each block.
std::vector<double> traffic_of(const NativePlan& plan) {
  std::vector<double> traffic(plan.blocks.size());
  const auto add = [&](ViewId id, double bytes) {
    traffic[static_cast<size_t>(view_of(plan, id).block)] += bytes;
  };
  const auto size = [&](ViewId id) {
    const PlanView& view = view_of(plan, id);
    return static_cast<double>(element_count(view.shape) * element_bytes(view));
  };
  for (const PlanStep& step : plan.steps) {
    const StepViews views = views_of(step);
    for (const ViewId id : views.reads) add(id, size(id));
    for (const ViewId id : views.writes) add(id, size(id));
    // What lies under the kernel is gathered for each pixel.
    if (const auto* s = std::get_if<ProductStep>(&step.kind)) {
      const Shape& weights = view_of(plan, s->weights).shape;  // columns, taps, depth
      const double pixels = static_cast<double>(element_count(view_of(plan, s->output).shape)) /
                            static_cast<double>(std::max<int64_t>(1, weights[0]));
      add(s->input, pixels * static_cast<double>(weights[1] * weights[2] * s->groups));
    }
  }
  return traffic;
}

}  // namespace

TwoArenas split_arena(const NativePlan& plan, const std::vector<StepNeeds>& needs,
                      int64_t alignment, int64_t fast_bytes) {
  const std::vector<double> traffic = traffic_of(plan);
  std::vector<Wanted> items;
  for (size_t i = 0; i < plan.blocks.size(); ++i)
    if (plan.blocks[i].place == BlockPlace::kArena && plan.blocks[i].bytes > 0)
      items.push_back({false, i, traffic[i] / static_cast<double>(plan.blocks[i].bytes)});
  std::ranges::stable_sort(items, std::ranges::greater(), &Wanted::uses);
  // Scratch is read again for each pair of output channels: it comes first.
  std::vector<Wanted> all;
  for (size_t i = 0; i < needs.size(); ++i)
    if (needs[i].scratch_bytes > 0) all.push_back({true, i, 0});
  all.insert(all.end(), items.begin(), items.end());
  ArenaSubset chosen{std::vector<bool>(plan.blocks.size()), std::vector<bool>(needs.size())};
  for (const Wanted& item : all) {
    std::vector<bool>& which = item.is_scratch ? chosen.scratch : chosen.blocks;
    which[item.index] = true;
    if (place_arena(plan, needs, alignment, &chosen, false).bytes > fast_bytes)
      which[item.index] = false;
  }
  TwoArenas arenas;
  arenas.fast = place_arena(plan, needs, alignment, &chosen);
  ArenaSubset rest = chosen;
  rest.blocks.flip();
  rest.scratch.flip();
  arenas.large = place_arena(plan, needs, alignment, &rest);
  return arenas;
}

}  // namespace lathe
