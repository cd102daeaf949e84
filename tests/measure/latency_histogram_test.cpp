#include "statistics/latency_histogram.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "statistics/random.h"

namespace lathe {
namespace {

size_t total(const LatencyHistogram& histogram) {
  size_t count = histogram.below_one;
  for (const LatencyBin& bin : histogram.bins) count += bin.count;
  return count;
}

TEST_CASE("every sample lies in its bin, and each is counted once") {
  BenchRandom random(1);
  std::vector<double> samples;
  for (int i = 0; i < 5000; ++i)
    samples.push_back(1e6 * std::exp2(static_cast<double>(random.below(1000)) / 500));
  for (const size_t most : {1000u, 100u, 7u, 1u}) {
    const LatencyHistogram histogram = latency_histogram(samples, most);
    CHECK(histogram.bins.size() <= most);
    CHECK(total(histogram) == samples.size());
    double last = 0;
    for (const LatencyBin& bin : histogram.bins) {
      CHECK(bin.low >= last);
      CHECK(bin.high > bin.low);
      CHECK(bin.count > 0);
      size_t inside = 0;
      for (const double sample : samples)
        inside += sample >= bin.low * (1 - 1e-12) && sample < bin.high * (1 - 1e-12) ? 1 : 0;
      CHECK(inside == bin.count);
      last = bin.high * (1 - 1e-12);
    }
  }
}

TEST_CASE("bins are as fine as their number allows, whatever an outlier does") {
  std::vector<double> samples(1000, 1e6);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] *= 1 + 1e-5 * static_cast<double>(i);
  samples.push_back(1e9);
  const LatencyHistogram histogram = latency_histogram(samples);
  CHECK(histogram.per_octave == 256);
  CHECK(histogram.bins.size() >= 5);
  CHECK(histogram.bins.back().count == 1);
  CHECK(histogram.bins.back().high > 1e9);
  CHECK(histogram.bins[0].high / histogram.bins[0].low == doctest::Approx(std::exp2(1.0 / 256)));
}

TEST_CASE("odd samples: none, all alike, zero, not finite, from one to a year") {
  CHECK(latency_histogram({}).bins.empty());
  const std::vector<double> same(50, 4096.0);
  REQUIRE(latency_histogram(same).bins.size() == 1);
  CHECK(latency_histogram(same).bins[0].count == 50);
  const std::vector<double> odd{0, -1,           0.5,
                                1, std::nan(""), std::numeric_limits<double>::infinity()};
  const LatencyHistogram histogram = latency_histogram(odd);
  CHECK(histogram.below_one == 3);
  CHECK(total(histogram) == 4);
  std::vector<double> wide;
  for (double value = 1; value < 3e16; value *= 1.01) wide.push_back(value);
  CHECK(total(latency_histogram(wide)) == wide.size());
  CHECK(latency_histogram(wide, 3).bins.size() <= 3);
  CHECK(total(latency_histogram(wide, 3)) == wide.size());
}

TEST_CASE("thinned keeps order, processes apart, and no more than asked") {
  std::vector<std::vector<double>> series(3, std::vector<double>(1000));
  for (size_t i = 0; i < 1000; ++i)
    for (auto& one : series) one[i] = static_cast<double>(i);
  CHECK(thinned(series, 3000).series == series);
  CHECK(thinned(series, 3000).every == 1);
  const Thinned few = thinned(series, 2000);
  CHECK(few.every == 2);
  REQUIRE(few.series.size() == 3);
  CHECK(few.series[2].size() == 500);
  CHECK(few.series[2][1] == 2);
  // Many processes keep one point each, even when those are too many.
  CHECK(thinned(series, 1).series[0].size() == 1);
  CHECK(thinned({}, 5).series.empty());
}

}  // namespace
}  // namespace lathe
