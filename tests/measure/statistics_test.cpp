#include "statistics/statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "ir/error.h"
#include "statistics/random.h"

namespace lathe {
namespace {

std::vector<double> counting(size_t n) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}

double normal(BenchRandom& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.unit();
  return sum;
}

Interval interval_of(const std::vector<std::vector<double>>& groups,
                     const BootstrapOptions& options) {
  return estimate_interval(estimate_location(groups, options), options.confidence);
}

TEST_CASE("median and quantiles are order statistics") {
  CHECK(median(std::vector<double>{3, 1, 2}) == 2);
  CHECK(median(std::vector<double>{4, 1, 2, 3}) == 2.5);
  CHECK_THROWS_AS(median(std::vector<double>{}), InternalError);
  const std::vector<double> ten = counting(10);
  CHECK(quantile(ten, 0.9) == 9);
  CHECK(quantile(ten, 0.91) == 10);
  CHECK(quantile(ten, 0.001) == 1);
}

TEST_CASE("percentiles need LoadGen's number of samples") {
  CHECK(samples_needed(0.5) == 64);
  CHECK(samples_needed(0.9) == 64);
  CHECK(samples_needed(0.95) == 130);
  CHECK(samples_needed(0.99) == 662);
  CHECK(samples_needed(0.999) == 6636);

  const Summary s = summarize(counting(661));
  REQUIRE(s.percentiles.size() == 5);
  CHECK(s.percentiles[2].value.has_value());
  CHECK_FALSE(s.percentiles[3].value.has_value());
  CHECK(s.percentiles[3].reason == "needs 662 samples, has 661");
  CHECK(summarize(counting(662)).percentiles[3].value.has_value());
}

TEST_CASE("quantile_interval gives the tabulated ranks") {
  // Binomial(20, 1/2): ranks 6 and 15 hold 95.9 %; Binomial(100, 1/2): 40 and 61.
  const auto twenty = quantile_interval(counting(20), 0.5, 20);
  REQUIRE(twenty.has_value());
  CHECK(twenty->low == 6);
  CHECK(twenty->high == 15);
  const auto hundred = quantile_interval(counting(100), 0.5, 100);
  REQUIRE(hundred.has_value());
  CHECK(hundred->low == 40);
  CHECK(hundred->high == 61);
  CHECK_FALSE(quantile_interval(counting(5), 0.5, 5).has_value());
  // Fewer independent samples, a wider interval.
  const auto correlated = quantile_interval(counting(100), 0.5, 25);
  REQUIRE(correlated.has_value());
  CHECK(correlated->high - correlated->low > 1.7 * (hundred->high - hundred->low));
}

TEST_CASE("autocorrelation tells independent samples from neighbours that repeat each other") {
  BenchRandom random(7);
  std::vector<double> independent, sticky;
  double state = 0;
  for (int i = 0; i < 4000; ++i) {
    independent.push_back(normal(random));
    state = 0.8 * state + 0.6 * normal(random);
    sticky.push_back(state);
  }
  CHECK(autocorrelation_lag1(independent) == doctest::Approx(0).epsilon(0.06));
  CHECK(autocorrelation_lag1(sticky) == doctest::Approx(0.8).epsilon(0.06));
  CHECK(effective_count(sticky) < 0.16 * 4000);
  CHECK(autocorrelation_lag1(std::vector<double>(50, 1.0)) == 0);
}

TEST_CASE("hodges_lehmann is the median of all pair means") {
  BenchRandom random(3);
  for (const size_t n : {1u, 2u, 3u, 8u, 31u}) {
    std::vector<double> values;
    for (size_t i = 0; i < n; ++i) values.push_back(normal(random));
    std::vector<double> means;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j) means.push_back((values[i] + values[j]) / 2);
    }
    CHECK(hodges_lehmann(values) == doctest::Approx(median(means)).epsilon(1e-9));
  }
  CHECK(hodges_lehmann(std::vector<double>(9, 0.25)) == 0.25);
}

TEST_CASE("summarize counts outliers and keeps them") {
  std::vector<double> values;
  for (int i = 0; i < 300; ++i) values.push_back(100 + i % 10);
  values[17] = 120;
  values[200] = 1000;
  const Summary s = summarize(values);
  CHECK(s.n == 300);
  CHECK(s.max == 1000);
  CHECK(s.outliers.mild == 1);
  CHECK(s.outliers.severe == 1);
  CHECK(s.median.value == doctest::Approx(104.5).epsilon(0.01));
  CHECK(s.mad == doctest::Approx(2.5).epsilon(0.25));
  REQUIRE(s.drift.has_value());
  CHECK(std::fabs(*s.drift) < 0.02);

  const Summary one = summarize(std::vector<double>{5});
  CHECK_FALSE(one.stdev.has_value());
  CHECK_FALSE(one.median.ci95.has_value());
  CHECK(*summarize(counting(90)).drift > 1);
}

TEST_CASE("the bootstrap interval covers the truth about as often as it says") {
  BenchRandom random(11);
  int covered = 0;
  constexpr int kTrials = 300;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> values;
    for (int i = 0; i < 40; ++i) values.push_back(normal(random));
    const Interval ci = interval_of({values}, {0.95, 400, static_cast<uint64_t>(trial)});
    covered += ci.low <= 0 && ci.high >= 0 ? 1 : 0;
  }
  CHECK(covered >= kTrials * 90 / 100);
  CHECK(covered <= kTrials * 99 / 100);
}

TEST_CASE("the bootstrap is repeatable, and sees that processes differ") {
  BenchRandom random(5);
  std::vector<std::vector<double>> alike(5), apart(5);
  for (size_t group = 0; group < 5; ++group) {
    for (int i = 0; i < 30; ++i) {
      const double value = 0.01 * normal(random);
      alike[group].push_back(value);
      apart[group].push_back(value + 0.05 * static_cast<double>(group));
    }
  }
  const Interval narrow = interval_of(alike, {0.95, 2000, 1});
  const Interval again = interval_of(alike, {0.95, 2000, 1});
  CHECK(narrow.low == again.low);
  CHECK(narrow.high == again.high);
  const Interval wide = interval_of(apart, {0.95, 2000, 1});
  CHECK(wide.high - wide.low > 5 * (narrow.high - narrow.low));
  CHECK(estimate_location(apart).value == doctest::Approx(0.1).epsilon(0.1));
}

}  // namespace
}  // namespace lathe
