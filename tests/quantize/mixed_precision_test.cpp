#include <doctest/doctest.h>

#include <cmath>

#include "ir/error.h"
#include "quantize/sensitivity/mixed_precision.h"

namespace lathe {

namespace {

std::vector<NodeId> ranking_of(int count) {
  std::vector<NodeId> ranking;
  for (int i = 0; i < count; ++i) ranking.push_back({100 - i});
  return ranking;
}

std::set<NodeId> first(const std::vector<NodeId>& ranking, size_t count) {
  return {ranking.begin(), ranking.begin() + static_cast<std::ptrdiff_t>(count)};
}

// What each layer costs while it is quantized, by its place in the ranking.
struct Additive {
  std::vector<NodeId> ranking;
  std::vector<double> cost;
  size_t calls = 0;
  double operator()(const std::set<NodeId>& left) {
    ++calls;
    double drop = 0;
    for (size_t i = 0; i < ranking.size(); ++i)
      if (!left.contains(ranking[i])) drop += cost[i];
    return drop;
  }
};

}  // namespace

TEST_CASE("the shortest prefix that holds is found in few evaluations") {
  for (const int wanted : {1, 2, 3, 7, 8, 20, 62}) {
    Additive judge{ranking_of(64), {}};
    for (int i = 0; i < 64; ++i) judge.cost.push_back(i < wanted ? 1 : 0.0001);
    MixedPrecision search;
    find_mixed_precision(judge.ranking, std::ref(judge), {.allowed = 0.5, .max_judged = 13},
                         search);
    CAPTURE(wanted);
    CHECK(search.held);
    CHECK(search.finished);
    CHECK((search.found().left_in_float == first(judge.ranking, static_cast<size_t>(wanted))));
    CHECK(judge.calls <= 13);
    CHECK(search.judged.size() == judge.calls);
  }
}

TEST_CASE("what already holds is left alone") {
  Additive judge{ranking_of(8), std::vector<double>(8, 0.01)};
  MixedPrecision search;
  find_mixed_precision(judge.ranking, std::ref(judge), {.allowed = 0.1}, search);
  CHECK(search.held);
  CHECK(search.found().left_in_float.empty());
  CHECK(judge.calls == 1);
}

TEST_CASE("layers that the ranking overrates are taken back") {
  // Only the first and the fourth matter.
  Additive judge{ranking_of(16), std::vector<double>(16, 0.0)};
  judge.cost[0] = judge.cost[3] = 1;
  MixedPrecision search;
  find_mixed_precision(judge.ranking, std::ref(judge), {.allowed = 0.5}, search);
  CHECK(search.held);
  CHECK((search.found().left_in_float == std::set<NodeId>{judge.ranking[0], judge.ranking[3]}));
}

TEST_CASE("out of reach: the best is the one with the least drop, one layer stays quantized") {
  Additive judge{ranking_of(10), std::vector<double>(10, 1.0)};
  MixedPrecision search;
  find_mixed_precision(judge.ranking, std::ref(judge), {.allowed = 0.5}, search);
  CHECK_FALSE(search.held);
  CHECK(search.finished);
  CHECK((search.found().left_in_float == first(judge.ranking, 9)));
  CHECK(search.found().drop == 1);

  MixedPrecision lone;
  find_mixed_precision(ranking_of(1), std::ref(judge), {.allowed = 0.5}, lone);
  CHECK_FALSE(lone.held);
  CHECK(lone.found().left_in_float.empty());
}

TEST_CASE("an interrupted search has its best, and goes on from what was judged") {
  Additive judge{ranking_of(32), {}};
  for (int i = 0; i < 32; ++i) judge.cost.push_back(i < 11 ? 1 : 0.0001);
  MixedPrecision whole;
  find_mixed_precision(judge.ranking, std::ref(judge), {.allowed = 0.5}, whole);
  REQUIRE(whole.held);
  const size_t all = judge.calls;
  for (size_t stop = 1; stop < all; ++stop) {
    CAPTURE(stop);
    judge.calls = 0;
    MixedPrecision search;
    const auto limited = [&](const std::set<NodeId>& left) {
      if (judge.calls == stop) throw Error(ExitCode::kInterrupted, "interrupted", {"", "", ""});
      return judge(left);
    };
    CHECK_THROWS_AS(find_mixed_precision(judge.ranking, limited, {.allowed = 0.5}, search), Error);
    REQUIRE(search.judged.size() == stop);
    CHECK_FALSE(search.finished);
    double least = INFINITY;
    for (const JudgedNodes& row : search.judged) least = std::min(least, row.drop);
    if (!search.held) CHECK(search.found().drop == least);

    judge.calls = 0;
    MixedPrecision resumed;
    resumed.judged = search.judged;
    find_mixed_precision(judge.ranking, std::ref(judge), {.allowed = 0.5}, resumed);
    CHECK(judge.calls == all - stop);
    CHECK((resumed.found().left_in_float == whole.found().left_in_float));
    CHECK(resumed.judged.size() == whole.judged.size());
  }
}

TEST_CASE("a metric that does not fall evenly still ends, within its budget") {
  for (const unsigned seed : {1U, 2U, 3U}) {
    size_t calls = 0;
    const auto judge = [&](const std::set<NodeId>& left) {
      ++calls;
      return std::fmod(static_cast<double>(left.size() * 7919 + seed * 104729), 97.0) / 97.0;
    };
    MixedPrecision search;
    find_mixed_precision(ranking_of(200), judge, {.allowed = 0.02, .max_judged = 30}, search);
    CHECK(calls <= 30);
    CHECK(search.finished);
    CHECK(search.held == (search.found().drop <= 0.02));
  }
}

}  // namespace lathe
