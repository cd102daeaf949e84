#include <doctest/doctest.h>

#include <random>

#include "ir/error.h"
#include "ir/memory_plan.h"

namespace lathe {
namespace {

void check_disjoint(const std::vector<BufferRequest>& requests, const MemoryPlan& plan,
                    int64_t alignment) {
  REQUIRE(plan.offsets.size() == requests.size());
  CHECK(plan.arena_bytes >= plan.lower_bound);
  for (size_t i = 0; i < requests.size(); ++i) {
    const int64_t end = plan.offsets[i] + requests[i].bytes;
    CHECK(plan.offsets[i] % alignment == 0);
    CHECK(end <= plan.arena_bytes);
    for (size_t j = 0; j < i; ++j) {
      const bool together = requests[i].first_step <= requests[j].last_step &&
                            requests[j].first_step <= requests[i].last_step;
      const bool apart =
          end <= plan.offsets[j] || plan.offsets[j] + requests[j].bytes <= plan.offsets[i];
      CHECK((!together || apart || requests[i].bytes == 0 || requests[j].bytes == 0));
    }
  }
}

TEST_CASE("a chain needs its two largest neighbours") {
  const std::vector<BufferRequest> chain{{100, 0, 1}, {300, 1, 2}, {200, 2, 3}, {50, 3, 4}};
  const MemoryPlan plan = plan_memory(chain, 1);
  check_disjoint(chain, plan, 1);
  CHECK(plan.lower_bound == 500);
  CHECK(plan.arena_bytes == 500);
}

TEST_CASE("the smallest gap that fits is taken") {
  // When the last buffer comes, gaps of 40 (below the 100) and of 10 (between) are free.
  const std::vector<BufferRequest> requests{{100, 0, 9}, {90, 0, 0}, {80, 0, 9}, {10, 1, 9}};
  const MemoryPlan plan = plan_memory(requests, 1);
  check_disjoint(requests, plan, 1);
  CHECK(plan.offsets[3] == 100);
  CHECK(plan.arena_bytes == 270);
}

TEST_CASE("alignment rounds sizes and offsets") {
  const std::vector<BufferRequest> requests{{1, 0, 0}, {65, 0, 0}, {0, 0, 0}};
  const MemoryPlan plan = plan_memory(requests, 64);
  check_disjoint(requests, plan, 64);
  CHECK(plan.arena_bytes == 192);
  CHECK(plan.lower_bound == 192);
}

TEST_CASE("buffers that meet in no step share all bytes") {
  const MemoryPlan plan = plan_memory({{64, 0, 0}, {64, 1, 1}, {64, 2, 2}}, 64);
  CHECK(plan.arena_bytes == 64);
  CHECK(plan_memory({}, 64).arena_bytes == 0);
}

TEST_CASE("random lives never overlap in memory") {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<BufferRequest> requests;
    for (int i = 0; i < 40; ++i) {
      const auto first = static_cast<int32_t>(random() % 30);
      requests.push_back({static_cast<int64_t>(random() % 1000), first,
                          first + static_cast<int32_t>(random() % 6)});
    }
    check_disjoint(requests, plan_memory(requests, 16), 16);
  }
}

TEST_CASE("limits") {
  CHECK_THROWS_AS(plan_memory({{INT64_MAX, 0, 0}, {INT64_MAX, 0, 0}}, 1), Error);
  CHECK_THROWS_AS(plan_memory(std::vector<BufferRequest>(kMaxPlannedBuffers + 1), 1), Error);
  CHECK_THROWS_AS(plan_memory({{1, 2, 1}}, 1), InternalError);
  CHECK_THROWS_AS(plan_memory({{1, 0, 1}}, 3), InternalError);
}

}  // namespace
}  // namespace lathe
