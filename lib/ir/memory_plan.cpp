#include "ir/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

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

int64_t most_live_bytes(const std::vector<BufferRequest>& requests, int64_t alignment) {
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
  int64_t most = 0;
  for (const Change& change : changes) {
    live = checked_sum(live, change.bytes);
    most = std::max(most, live);
  }
  return most;
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

}  // namespace

MemoryPlan plan_memory(const std::vector<BufferRequest>& requests, int64_t alignment) {
  check(requests, alignment);
  MemoryPlan plan;
  plan.offsets.assign(requests.size(), 0);
  plan.lower_bound = most_live_bytes(requests, alignment);

  std::vector<size_t> by_size(requests.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return requests[a].bytes > requests[b].bytes; });

  std::vector<Placed> placed;  // by offset
  for (const size_t i : by_size) {
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

}  // namespace lathe
