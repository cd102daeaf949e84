#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "quantize/diagnose/drop_interval.h"

namespace lathe {

TEST_CASE("the interval of right and wrong answers is Agresti and Min's") {
  // 100 pictures, 12 lost, 4 won: (8 / 102) +- 1.96 sqrt((17 - 64 / 102) / 102^2).
  std::vector<PairedScore> scores(100, {1, 1, 1});
  for (size_t i = 0; i < 12; ++i) scores[i] = {1, 0, 1};
  for (size_t i = 12; i < 16; ++i) scores[i] = {0, 1, 1};
  const auto interval = drop_interval(scores, DropKind::kPoints, 0);
  REQUIRE(interval);
  CHECK(interval->method == "paired proportions");
  CHECK(interval->low == doctest::Approx(8.0 / 102 - 1.959964 * std::sqrt(17 - 64.0 / 102) / 102));
  CHECK(interval->high == doctest::Approx(8.0 / 102 + 1.959964 * std::sqrt(17 - 64.0 / 102) / 102));
}

TEST_CASE("no change at all still leaves doubt, less with more samples") {
  const auto few = drop_interval(std::vector<PairedScore>(20, {1, 1, 1}), DropKind::kPoints, 0);
  const auto many = drop_interval(std::vector<PairedScore>(2000, {1, 1, 1}), DropKind::kPoints, 0);
  REQUIRE(few);
  REQUIRE(many);
  CHECK(few->high > 0.05);
  CHECK(many->high < 0.001);
  CHECK(many->high > 0);
  CHECK_FALSE(drop_interval({{1, 1, 1}}, DropKind::kPoints, 0));
}

TEST_CASE("the interval holds the true drop in about 95 of 100 cases") {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  int inside = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::vector<PairedScore> scores(150);
    for (PairedScore& score : scores) {
      const double u = uniform(random);  // true drop 0.06 - 0.02
      score = {u < 0.06 || u > 0.3 ? 1.0 : 0.0, u > 0.28 ? 1.0 : 0.0, 1};
    }
    const auto interval = drop_interval(scores, DropKind::kPoints, 0);
    inside += interval->low <= 0.04 && 0.04 <= interval->high ? 1 : 0;
  }
  CHECK(inside >= 372);
  CHECK(inside < 400);
}

TEST_CASE("other metrics are resampled, the same way every time") {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal(1, 0.2);
  std::vector<PairedScore> scores(200);
  for (PairedScore& score : scores) {
    const double before = normal(random);
    score = {before, before * 1.1 + 0.05 * (normal(random) - 1), 1};
  }
  const auto interval = drop_interval(scores, DropKind::kRelative, 5);
  REQUIRE(interval);
  CHECK(interval->method == "paired bootstrap");
  CHECK(interval->low < 0.1);
  CHECK(interval->high > 0.1);
  CHECK(interval->high - interval->low < 0.01);
  const auto again = drop_interval(scores, DropKind::kRelative, 5);
  CHECK(again->low == interval->low);
  CHECK(again->high == interval->high);
}

}  // namespace lathe
