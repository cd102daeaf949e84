#include "calibration/choose_range.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "histogram_of.h"
#include "ir/quantization.h"

namespace lathe {
namespace {

constexpr IntegerGrid kUnsigned{0, 255, false};
constexpr IntegerGrid kSigned{-128, 127, false};
constexpr IntegerGrid kSymmetric{-128, 127, true};

std::vector<float> gaussian(size_t count, uint64_t seed, double sigma = 1, double mean = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(mean, sigma);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(normal(random));
  return values;
}

std::vector<float> positive(size_t count, uint64_t seed) {
  std::vector<float> values = gaussian(count, seed);
  for (float& value : values) value = std::fabs(value) * 3;
  return values;
}

// Quantizes every sample with the arithmetic of the ONNX operator.
double simulated(const std::vector<float>& values, const Range& range, const IntegerGrid& grid) {
  const ScaleZeroPoint p =
      grid.symmetric
          ? choose_symmetric(std::max(std::fabs(range.min), std::fabs(range.max)), grid.qmax)
          : choose_asymmetric(range.min, range.max, grid.qmin, grid.qmax);
  double sum = 0;
  for (const float value : values) {
    const int32_t q = quantize(value, p.scale, p.zero_point, grid.qmin, grid.qmax);
    const double error = value - static_cast<double>(q - p.zero_point) * p.scale;
    sum += error * error;
  }
  return sum / static_cast<double>(values.size());
}

double width(const Range& range) { return range.max - range.min; }

}  // namespace

TEST_CASE("minmax is exact") {
  CHECK(min_max_range(histogram_of({-1.5f, 0.25f, 3})) == Range{-1.5, 3});
  CHECK(min_max_range(Histogram()) == Range{0, 0});
}

TEST_CASE("percentile against a sort") {
  for (const double percent : {99.9, 99.0, 90.0, 100.0}) {
    CAPTURE(percent);
    std::vector<float> values = gaussian(20010, 3);
    const Histogram histogram = histogram_of(values);
    const Range range = percentile_range(histogram, percent);
    std::sort(values.begin(), values.end());
    const auto outside = static_cast<size_t>((100 - percent) / 200 * 20010);
    CHECK(std::fabs(range.max - values[values.size() - 1 - outside]) <= histogram.bin_width());
    CHECK(std::fabs(range.min - values[outside]) <= histogram.bin_width());
    CHECK(range.min >= values.front());
    CHECK(range.max <= values.back());
  }
}

TEST_CASE("percentile of values of one sign cuts that side only, with all of the share") {
  std::vector<float> values = positive(10000, 4);
  const Histogram histogram = histogram_of(values);
  const Range range = percentile_range(histogram, 99);
  std::sort(values.begin(), values.end());
  CHECK(range.min == values.front());
  CHECK(std::fabs(range.max - values[values.size() - 1 - 100]) <= histogram.bin_width());
  for (float& value : values) value = -value;
  const Range mirrored = percentile_range(histogram_of(values), 99);
  CHECK(mirrored.max == *std::max_element(values.begin(), values.end()));
  CHECK(std::fabs(mirrored.min + range.max) <= histogram.bin_width());
}

TEST_CASE("the estimated error is that of quantizing the samples") {
  struct Case {
    const char* name;
    std::vector<float> values;
  };
  const std::vector<Case> cases{{"gaussian", gaussian(50000, 5)},
                                {"shifted", gaussian(50000, 6, 0.5, 2)},
                                {"positive", positive(50000, 7)},
                                {"small", gaussian(50000, 8, 1e-4)}};
  for (const Case& one : cases)
    for (const IntegerGrid& grid : {kUnsigned, kSigned, kSymmetric})
      for (const double fraction : {1.0, 0.8, 0.5, 0.25}) {
        CAPTURE(one.name);
        CAPTURE(fraction);
        const Histogram histogram = histogram_of(one.values);
        const Range range{histogram.min() * fraction, histogram.max() * fraction};
        const double wanted = simulated(one.values, range, grid);
        CHECK(quantization_error(histogram, range, grid) == doctest::Approx(wanted).epsilon(0.06));
      }
  CHECK(quantization_error(Histogram(), {-1, 1}, kUnsigned) == 0);
}

TEST_CASE("mse finds what a brute-force search finds") {
  std::vector<std::vector<float>> sets{gaussian(5000, 9), positive(5000, 10),
                                       gaussian(5000, 11, 1, 3)};
  sets.push_back(gaussian(5000, 12));
  sets.back().push_back(40);  // a far outlier on one side
  std::mt19937_64 random(13);
  std::vector<float> heavy;
  for (int i = 0; i < 5000; ++i) {
    const double u = static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
    heavy.push_back(static_cast<float>((u < 0 ? 1 : -1) * std::log(1 - 2 * std::fabs(u))));
  }
  sets.push_back(heavy);
  for (const auto& values : sets)
    for (const IntegerGrid& grid : {kUnsigned, kSymmetric}) {
      const Histogram histogram = histogram_of(values);
      const Range full = min_max_range(histogram);
      double least = simulated(values, full, grid);
      for (int i = 1; i <= 40; ++i)
        for (int k = 1; k <= 40; ++k)
          least = std::min(least, simulated(values, {full.min * i / 40, full.max * k / 40}, grid));
      const Range found = mse_range(histogram, grid);
      CHECK(found.min >= std::min(full.min, 0.0));
      CHECK(found.max <= std::max(full.max, 0.0));
      CHECK(simulated(values, found, grid) <= least * 1.15);
    }
}

TEST_CASE("entropy keeps a Gaussian nearly whole and cuts a far outlier") {
  std::vector<float> values = gaussian(100000, 14);
  for (const IntegerGrid& grid : {kSigned, kSymmetric}) {
    const Histogram histogram = histogram_of(values);
    const Range range = entropy_range(histogram, grid);
    CHECK(width(range) >= 0.8 * width(min_max_range(histogram)));
    std::vector<float> with_outlier = values;
    with_outlier.push_back(200);
    const Range cut = entropy_range(histogram_of(with_outlier), grid);
    CHECK(cut.max < 40);
    CHECK(cut.max > 3);
    CHECK(cut.min < -3);
  }
}

TEST_CASE("entropy looks past the zeros of a ReLU") {
  const std::vector<float> values = positive(50000, 15);
  std::vector<float> with_zeros = values;
  with_zeros.insert(with_zeros.end(), 200000, 0.0f);
  const Range plain = entropy_range(histogram_of(values), kUnsigned);
  const Range spiked = entropy_range(histogram_of(with_zeros), kUnsigned);
  CHECK(spiked.max == doctest::Approx(plain.max).epsilon(0.02));
  CHECK(plain.max > 0.75 * min_max_range(histogram_of(values)).max);
}

TEST_CASE("entropy on a symmetric grid: one-sided values have half of the integers") {
  // 127 steps for the same values: not the range that 255 steps would allow.
  const std::vector<float> values = positive(100000, 16);
  const Range symmetric = entropy_range(histogram_of(values), kSymmetric);
  std::vector<float> both = values;
  for (const float value : values) both.push_back(-value);
  const Range mirrored = entropy_range(histogram_of(both), kSigned);
  CHECK(symmetric.max == doctest::Approx(mirrored.max).epsilon(0.02));
}

TEST_CASE("auto is never worse than a candidate") {
  std::vector<std::vector<float>> sets{
      gaussian(3000, 17),        positive(3000, 18),       {0, 0, 0}, {5}, {-5},
      gaussian(3000, 19, 1e-20), gaussian(3000, 20, 1e20), {}};
  sets.push_back(gaussian(3000, 21));
  sets.back().push_back(-77);
  for (size_t i = 0; i < sets.size(); ++i)
    for (const IntegerGrid& grid : {kUnsigned, kSigned, kSymmetric}) {
      CAPTURE(i);
      const Histogram histogram = histogram_of(sets[i]);
      const ChosenRange best = choose_range(Observer::kAuto, histogram, grid);
      CHECK(best.observer != Observer::kAuto);
      CHECK(best.error == quantization_error(histogram, best.range, grid));
      for (const Observer observer :
           {Observer::kMinMax, Observer::kPercentile, Observer::kEntropy, Observer::kMse}) {
        const ChosenRange candidate = choose_range(observer, histogram, grid);
        CHECK(candidate.observer == observer);
        CHECK(best.error <= candidate.error);
        CHECK(std::isfinite(candidate.range.min));
        // Quantization widens every range to zero, so ends between zero and the values are free.
        CHECK(candidate.range.min >= std::min(histogram.min(), 0.0f));
        CHECK(candidate.range.max <= std::max(histogram.max(), 0.0f));
        CHECK(candidate.range.min <= candidate.range.max);
      }
    }
  CHECK(choose_range(Observer::kAuto, Histogram(), kUnsigned).range == Range{0, 0});
}

TEST_CASE("a rule may cut the extremes off, and goes both ways as text") {
  const Histogram histogram = histogram_of({-1, 0, 0.5f, 8});
  CHECK(choose_range(RangeRule(Observer::kMinMax, 0.5), histogram, kUnsigned).range ==
        Range{-1, 4});
  CHECK(choose_range(RangeRule(Observer::kMinMax, 0.0625), histogram, kUnsigned).range ==
        Range{-0.5, 0.5});
  for (const char* text : {"minmax", "mse", "entropy*0.35", "minmax*0.5"}) {
    CAPTURE(text);
    const auto rule = range_rule_from_text(text);
    REQUIRE(rule);
    CHECK(range_rule_text(*rule) == text);
  }
  for (const char* text : {"", "best", "minmax*", "minmax*2", "minmax*0", "minmax*-1",
                           "minmax*0.5x", "minmax*nan", "*0.5"})
    CHECK_FALSE(range_rule_from_text(text));
}

TEST_CASE("observer names go both ways") {
  for (const Observer observer : {Observer::kAuto, Observer::kMinMax, Observer::kPercentile,
                                  Observer::kEntropy, Observer::kMse})
    CHECK(observer_from_name(observer_name(observer)) == observer);
  CHECK_FALSE(observer_from_name("best").has_value());
}

}  // namespace lathe
