// When waiting requests run, and how many of them: no clock but the numbers here.
#include <doctest/doctest.h>

#include <vector>

#include "api/decide_batch.h"
#include "ir/seeded_random.h"

namespace lathe {
namespace {

constexpr BatchLimits kEight{8, 1000};

size_t decide(const std::vector<int64_t>& rows, int64_t now, bool hurry = false,
              const BatchLimits& limits = kEight) {
  return decide_batch(rows, 0, now, limits, hurry).requests;
}

}  // namespace

TEST_CASE("a request waits for company until its time is over") {
  const BatchDecision early = decide_batch(std::vector<int64_t>{1}, 500, 600, kEight, false);
  CHECK(early.requests == 0);
  CHECK(early.due_ns == 1500);
  CHECK(decide({1}, 999) == 0);
  CHECK(decide({1}, 1000) == 1);
  CHECK(decide({1}, 5000) == 1);
  CHECK(decide({1}, 0, true) == 1);
  CHECK(decide({1}, 0, false, {8, 0}) == 1);
}

TEST_CASE("a full batch runs at once") {
  CHECK(decide({1, 1, 1, 1, 1, 1, 1}, 0) == 0);
  CHECK(decide({1, 1, 1, 1, 1, 1, 1, 1}, 0) == 8);
  CHECK(decide({8}, 0) == 1);
  // The third does not fit beside the others.
  CHECK(decide({4, 3, 4}, 0) == 1);
  CHECK(decide({3, 3, 3}, 0) == 2);
  CHECK(decide({1}, 0, false, {1, 1000}) == 1);
}

TEST_CASE("sums that are ready to run are preferred") {
  CHECK(decide({1, 1, 1}, 1000) == 2);
  CHECK(decide({1, 1, 1, 1, 1, 1, 1}, 1000) == 4);
  CHECK(decide({3, 1, 1}, 1000) == 2);
  CHECK(decide({3, 3}, 1000) == 2);
  CHECK(decide({3}, 1000) == 1);
  CHECK(decide({1, 1, 1, 1, 1, 1}, 1000, false, {6, 1000}) == 6);
}

TEST_CASE("whatever waits, what runs fits and nothing is late") {
  constexpr uint64_t kSeed = 20260801;
  MESSAGE("seed ", kSeed);
  SeededRandom random(kSeed, 0);
  for (int i = 0; i < 5000; ++i) {
    CAPTURE(i);
    const BatchLimits limits{1 + static_cast<int64_t>(random.next() % 20),
                             static_cast<int64_t>(random.next() % 3) * 500};
    std::vector<int64_t> rows(1 + random.next() % 24);
    for (int64_t& count : rows)
      count = 1 + static_cast<int64_t>(random.next() % static_cast<uint64_t>(limits.most_rows));
    const auto now = static_cast<int64_t>(random.next() % 1500);
    const BatchDecision decision = decide_batch(rows, 0, now, limits, false);
    if (now >= limits.delay_ns) REQUIRE(decision.requests > 0);
    if (decision.requests == 0) {
      REQUIRE(decision.due_ns == limits.delay_ns);
      continue;
    }
    REQUIRE(decision.requests <= rows.size());
    int64_t sum = 0;
    for (size_t r = 0; r < decision.requests; ++r) sum += rows[r];
    REQUIRE(sum == decision.rows);
    REQUIRE(sum <= limits.most_rows);
  }
}

}  // namespace lathe
