#include "ir/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

/// Comparisons of buffers that may be spent on looking for a smaller arena.
constexpr int64_t kWork = int64_t{1} << 26;

struct Placed {
  int64_t offset;
  int64_t end;
  int32_t first_step;
  int32_t last_step;
};

int64_t checked_sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum))
    throw over_limit("memory_plan.too_large", "the buffers' sizes do not fit into 63 bits");
  return sum;
}

int64_t aligned(int64_t bytes, int64_t alignment) {
  return checked_sum(bytes, alignment - 1) & ~(alignment - 1);
}

void check(const std::vector<BufferRequest>& requests, int64_t alignment) {
  if (alignment < 1 || (alignment & (alignment - 1)) != 0)
    throw InternalError(fmt::format("plan_memory: alignment {}", alignment));
  if (static_cast<int64_t>(requests.size()) > kMaxPlannedBuffers)
    throw over_limit("memory_plan.too_many",
                     fmt::format("{} buffers are more than the {} that are planned",
                                 requests.size(), kMaxPlannedBuffers));
  for (const BufferRequest& request : requests)
    if (request.bytes < 0 || request.first_step > request.last_step)
      throw InternalError("plan_memory: a buffer has a negative size or life");
}

// Start of the smallest gap of `bytes` between placed buffers alive at the same time, which are
// walked by offset; behind all of them when no gap fits.
int64_t best_offset(const std::vector<Placed>& placed, const BufferRequest& request,
                    int64_t bytes) {
  int64_t best = -1;
  int64_t smallest = INT64_MAX;
  int64_t free_from = 0;
  for (const Placed& other : placed) {
    if (other.last_step < request.first_step || other.first_step > request.last_step) continue;
    const int64_t gap = other.offset - free_from;
    if (gap >= bytes && gap < smallest) {
      smallest = gap;
      best = free_from;
    }
    free_from = std::max(free_from, other.end);
  }
  return best >= 0 ? best : free_from;
}

using Order = std::vector<size_t>;

Order by_size(const std::vector<BufferRequest>& requests) {
  Order order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return requests[a].bytes > requests[b].bytes; });
  return order;
}

// Buffers of the step with the most live bytes first, the largest first, and so on.
Order by_breadth(const std::vector<BufferRequest>& requests) {
  int32_t steps = 0;
  for (const BufferRequest& request : requests) steps = std::max(steps, request.last_step + 1);
  std::vector<int64_t> live(static_cast<size_t>(steps) + 1, 0);
  for (const BufferRequest& request : requests) {
    const auto first = static_cast<size_t>(std::max(request.first_step, 0));
    live[first] += request.bytes;
    live[static_cast<size_t>(request.last_step) + 1] -= request.bytes;
  }
  for (size_t step = 1; step < live.size(); ++step) live[step] += live[step - 1];
  const auto breadth = [&](const BufferRequest& request) {
    int64_t most = 0;
    for (int32_t step = std::max(request.first_step, 0); step <= request.last_step; ++step)
      most = std::max(most, live[static_cast<size_t>(step)]);
    return most;
  };
  std::vector<int64_t> of_request;
  for (const BufferRequest& request : requests) of_request.push_back(breadth(request));
  Order order = by_size(requests);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return of_request[a] > of_request[b]; });
  return order;
}

MemoryPlan placed_in_order(const std::vector<BufferRequest>& requests, const Order& order,
                           int64_t alignment) {
  MemoryPlan plan;
  plan.offsets.assign(requests.size(), 0);
  std::vector<Placed> placed;  // by offset
  for (const size_t i : order) {
    const BufferRequest& request = requests[i];
    const int64_t bytes = aligned(request.bytes, alignment);
    if (bytes == 0) continue;
    const int64_t offset = best_offset(placed, request, bytes);
    const Placed here{offset, checked_sum(offset, bytes), request.first_step, request.last_step};
    const auto at =
        std::upper_bound(placed.begin(), placed.end(), here,
                         [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
    placed.insert(at, here);
    plan.offsets[i] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, here.end);
  }
  return plan;
}

}  // namespace

LivePeak live_peak(const std::vector<BufferRequest>& requests, int64_t alignment) {
  struct Change {
    int64_t step;
    int64_t bytes;
  };
  std::vector<Change> changes;
  for (const BufferRequest& request : requests) {
    const int64_t bytes = aligned(request.bytes, alignment);
    changes.push_back({request.first_step, bytes});
    changes.push_back({int64_t{request.last_step} + 1, -bytes});
  }
  // Frees come before allocations of the same step.
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return a.step != b.step ? a.step < b.step : a.bytes < b.bytes;
  });
  int64_t live = 0;
  LivePeak peak;
  for (const Change& change : changes) {
    live = checked_sum(live, change.bytes);
    if (live > peak.bytes) peak = {live, static_cast<int32_t>(change.step)};
  }
  return peak;
}

MemoryPlan plan_memory(const std::vector<BufferRequest>& requests, int64_t alignment) {
  check(requests, alignment);
  MemoryPlan plan = placed_in_order(requests, by_size(requests), alignment);
  plan.lower_bound = live_peak(requests, alignment).bytes;
  if (plan.arena_bytes == plan.lower_bound) return plan;
  Order order = by_breadth(requests);
  const auto tries = static_cast<size_t>(std::clamp<int64_t>(
      kWork / static_cast<int64_t>(requests.size() * requests.size() + 1), 1, 64));
  for (size_t i = 0; i < tries; ++i) {
    MemoryPlan other = placed_in_order(requests, order, alignment);
    other.lower_bound = plan.lower_bound;
    // What reaches highest chooses first the next time.
    const auto highest = std::max_element(order.begin(), order.end(), [&](size_t a, size_t b) {
      return other.offsets[a] + requests[a].bytes < other.offsets[b] + requests[b].bytes;
    });
    std::rotate(order.begin(), highest, highest + 1);
    if (other.arena_bytes < plan.arena_bytes) plan = std::move(other);
    if (plan.arena_bytes == plan.lower_bound) break;
  }
  return plan;
}

}  // namespace lathe
