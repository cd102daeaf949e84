#include "c99/arena.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "plan/plan_check.h"

namespace lathe {
namespace {

// What two arrays that are alive in the same step must keep: apart, or `early` (written) before
// `late` (read) by a distance.
struct Overlap {
  size_t output = 0;
  size_t input = 0;
  int64_t lead = 0;  // of offset(input) - offset(output)
  int64_t step = 1;
  int64_t phase = 0;
};

struct Item {
  int64_t bytes = 0;
  int32_t first = 0;
  int32_t last = 0;
};

class Placer {
 public:
  Placer(const NativePlan& plan, const std::vector<StepNeeds>& needs, int64_t alignment,
         const ArenaSubset* subset = nullptr)
      : alignment_(alignment) {
    const std::vector<BlockLife> lives = block_lives(plan);
    for (size_t i = 0; i < plan.blocks.size(); ++i) {
      const bool is_used = plan.blocks[i].place == BlockPlace::kArena && lives[i].last >= 0 &&
                           (subset == nullptr || subset->blocks[i]);
      block_items_.push_back(is_used ? static_cast<int64_t>(items_.size()) : -1);
      if (is_used) items_.push_back({plan.blocks[i].bytes, lives[i].first, lives[i].last});
    }
    for (size_t i = 0; i < needs.size(); ++i) {
      const auto step = static_cast<int32_t>(i);
      const bool is_used =
          needs[i].scratch_bytes > 0 && (subset == nullptr || subset->scratch[i]);
      scratch_items_.push_back(is_used ? static_cast<int64_t>(items_.size()) : -1);
      if (is_used) items_.push_back({needs[i].scratch_bytes, step, step});
      if (needs[i].overlap) add_overlap(plan, i, *needs[i].overlap, lives);
    }
    for (const Item& item : items_)
      for (int32_t step = item.first; step <= item.last; ++step) live_[step] += item.bytes;
  }

  Arena run(bool thorough) {
    std::vector<size_t> order(items_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto by = [&](auto key) {
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return key(items_[a]) > key(items_[b]); });
      consider(order);
    };
    by([](const Item& item) { return item.bytes; });
    by([&](const Item& item) { return breadth(item); });
    by([](const Item& item) { return -item.first; });
    by([](const Item& item) { return item.last; });
    // Then two of the best order change places, as long as there is hope.
    const auto [peak_step, bound] = peak();
    const double work = std::pow(static_cast<double>(items_.size()), 3);
    const int rounds =
        thorough ? static_cast<int>(std::min(kMostRounds, kMostWork / std::max(1.0, work))) : 0;
    SeededRandom random(0, 0);
    for (int round = 0; round < rounds && best_bytes_ > bound; ++round) {
      order = best_order_;
      const size_t count = order.size();
      std::swap(order[random.next() % count], order[random.next() % count]);
      consider(order);
    }
    Arena arena;
    arena.bytes = best_bytes_;
    const auto offset = [&](int64_t item) {
      return item < 0 ? -1 : best_[static_cast<size_t>(item)];
    };
    for (const int64_t item : block_items_) arena.blocks.push_back(offset(item));
    for (const int64_t item : scratch_items_) arena.scratch.push_back(offset(item));
    arena.lower_bound = bound;
    arena.peak_step = peak_step;
    return arena;
  }

  // The step that needs most, and how much that is at best.
  std::pair<size_t, int64_t> peak() const {
    std::pair<size_t, int64_t> most{0, 0};
    for (const auto& [step, bytes] : live_)
      if (const int64_t needed = bytes - saved_in(step); needed > most.second)
        most = {static_cast<size_t>(step), needed};
    return {most.first, aligned(most.second)};
  }

 private:
  static constexpr double kMostRounds = 1000;
  static constexpr double kMostWork = 2e8;

  void add_overlap(const NativePlan& plan, size_t step, const StepOverlap& overlap,
                   const std::vector<BlockLife>& lives) {
    const StepViews views = views_of(plan.steps[step]);
    if (views.writes.size() != 1) return;
    const PlanView& from = view_of(plan, overlap.input);
    const PlanView& to = view_of(plan, views.writes[0]);
    const auto in = static_cast<size_t>(from.block);
    const auto out = static_cast<size_t>(to.block);
    const auto now = static_cast<int32_t>(step);
    if (block_items_[in] < 0 || block_items_[out] < 0 || in == out || lives[in].last != now ||
        lives[out].first != now)
      return;
    for (const ViewId read : views.reads)
      if (read != overlap.input && view_of(plan, read).block == from.block) return;
    const int64_t shift = from.offset * element_bytes(from) - to.offset * element_bytes(to);
    overlaps_.push_back({static_cast<size_t>(block_items_[out]),
                         static_cast<size_t>(block_items_[in]), overlap.lead - shift, overlap.step,
                         shift});
  }

  const Overlap* overlap_of(size_t a, size_t b) const {
    for (const Overlap& overlap : overlaps_)
      if ((overlap.output == a && overlap.input == b) ||
          (overlap.output == b && overlap.input == a))
        return &overlap;
    return nullptr;
  }

  int64_t aligned(int64_t offset) const {
    return (offset + alignment_ - 1) / alignment_ * alignment_;
  }

  bool may_lie(size_t item, int64_t offset, size_t other, int64_t other_offset) const {
    const Item& a = items_[item];
    const Item& b = items_[other];
    if (a.last < b.first || b.last < a.first) return true;
    if (offset + a.bytes <= other_offset || other_offset + b.bytes <= offset) return true;
    const Overlap* overlap = overlap_of(item, other);
    if (overlap == nullptr) return false;
    const int64_t distance =
        overlap->input == item ? offset - other_offset : other_offset - offset;
    return distance >= overlap->lead && (distance + overlap->phase) % overlap->step == 0;
  }

  void consider(const std::vector<size_t>& order) {
    std::vector<int64_t> offsets(items_.size(), -1);
    std::vector<size_t> placed;
    int64_t bytes = 0;
    for (const size_t item : order) {
      std::vector<int64_t> candidates{0};
      for (const size_t other : placed) {
        const int64_t at = offsets[other];
        candidates.push_back(aligned(at + items_[other].bytes));
        if (at >= items_[item].bytes) candidates.push_back(at - items_[item].bytes);
        if (const Overlap* overlap = overlap_of(item, other)) {
          // The input as near behind the output as it may, the output as near before the input.
          candidates.push_back(overlap->input == item
                                   ? aligned(at + overlap->lead)
                                   : (at - overlap->lead) / alignment_ * alignment_);
          candidates.push_back(at);
        }
      }
      std::ranges::sort(candidates);
      for (const int64_t candidate : candidates) {
        if (candidate < 0 || candidate % alignment_ != 0) continue;
        const bool fits = std::ranges::all_of(placed, [&](size_t other) {
          return may_lie(item, candidate, other, offsets[other]);
        });
        if (!fits) continue;
        offsets[item] = candidate;
        break;
      }
      if (offsets[item] < 0) throw InternalError("c99: an array has no place");
      placed.push_back(item);
      bytes = std::max(bytes, aligned(offsets[item] + items_[item].bytes));
    }
    if (!best_.empty() && bytes > best_bytes_) return;
    best_ = std::move(offsets);
    best_bytes_ = bytes;
    best_order_ = order;
  }

  int64_t breadth(const Item& item) const {
    int64_t most = 0;
    for (int32_t step = item.first; step <= item.last; ++step)
      most = std::max(most, live_.at(step));
    return most;
  }

  // What the overlap in that step leaves out at best.
  int64_t saved_in(int32_t step) const {
    int64_t saved = 0;
    for (const Overlap& overlap : overlaps_) {
      const Item& out = items_[overlap.output];
      const Item& in = items_[overlap.input];
      if (out.first != step) continue;
      const int64_t distance = std::max<int64_t>(overlap.lead, 0);
      saved += std::max<int64_t>(0, in.bytes + out.bytes -
                                        std::max(distance + in.bytes, out.bytes));
    }
    return saved;
  }

  int64_t alignment_;
  std::vector<Item> items_;
  std::vector<int64_t> block_items_;
  std::vector<int64_t> scratch_items_;
  std::vector<Overlap> overlaps_;
  std::map<int32_t, int64_t> live_;
  std::vector<int64_t> best_;
  std::vector<size_t> best_order_;
  int64_t best_bytes_ = 0;
};

}  // namespace

Arena place_arena(const NativePlan& plan, const std::vector<StepNeeds>& needs, int64_t alignment,
                  const ArenaSubset* subset, bool thorough) {
  return Placer(plan, needs, alignment, subset).run(thorough);
}

int64_t least_arena_bytes(const NativePlan& plan, const std::vector<StepNeeds>& needs,
                          int64_t alignment) {
  return Placer(plan, needs, alignment).peak().second;
}

}  // namespace lathe
