// Whether runs leave the pool, for times that are given.
#include "program/pool_worth.h"

#include <doctest/doctest.h>

#include <functional>

namespace lathe {
namespace {

struct Ran {
  int64_t alone = 0;  // runs
  int64_t total = 0;  // time
};

/// `together(run)`: how long a run takes with the pool; alone it takes 100.
Ran simulate(PoolWorth& worth, int runs, const std::function<int64_t(int)>& together) {
  Ran ran;
  for (int run = 0; run < runs; ++run) {
    const bool alone = worth.alone();
    const int64_t time = alone ? 100 : together(run);
    worth.ran(time);
    ran.alone += alone ? 1 : 0;
    ran.total += time;
  }
  return ran;
}

}  // namespace

TEST_CASE("a pool that is faster is left only for the trial") {
  PoolWorth worth;
  CHECK(simulate(worth, 1000, [](int) { return 55; }).alone == 2);
  CHECK(worth.lone_runs() == 0);
}

TEST_CASE("the trial is not the first run, which touches memory for the first time") {
  PoolWorth worth;
  CHECK_FALSE(worth.alone());
  worth.ran(900);
  CHECK_FALSE(worth.alone());
  worth.ran(55);
  CHECK(worth.alone());
}

TEST_CASE("now and then a late run is borne") {
  PoolWorth worth;
  CHECK(simulate(worth, 1000, [](int run) { return run % 4 == 0 ? 300 : 55; }).alone == 2);
}

TEST_CASE("a pool that is late from the first run is left, and tried ever more seldom") {
  PoolWorth worth;
  const Ran ran = simulate(worth, 1000, [](int) { return 300; });
  CHECK(ran.alone > 970);
  CHECK(worth.lone_runs() == ran.alone - 2);
  CHECK(ran.total < 1000 * 106);
}

TEST_CASE("the pool is used again when its threads are back in time") {
  PoolWorth worth;
  simulate(worth, 1000, [](int) { return 300; });
  // At most one stay without the pool, then the pool for good.
  CHECK(simulate(worth, 1000, [](int) { return 55; }).alone <= 256);
  CHECK(simulate(worth, 1000, [](int) { return 55; }).alone == 0);
  // A neighbour of long ago is forgotten.
  CHECK(simulate(worth, 19, [](int) { return 300; }).alone == 16);
}

TEST_CASE("a machine that became slower as a whole keeps its pool") {
  PoolWorth worth;
  simulate(worth, 100, [](int) { return 55; });
  int64_t alone = 0;
  for (int run = 0; run < 1000; ++run) {
    alone += worth.alone() ? 1 : 0;
    worth.ran(worth.alone() ? 300 : 165);
  }
  CHECK(alone == 16);
}

TEST_CASE("a pool that gains little is kept, noise or not") {
  PoolWorth worth;
  CHECK(simulate(worth, 1000, [](int run) { return run % 2 == 0 ? 98 : 110; }).alone == 2);
}

TEST_CASE("a network that is too small for the pool does without it") {
  PoolWorth worth;
  CHECK(simulate(worth, 1000, [](int) { return 130; }).alone > 970);
}

}  // namespace lathe
