#include "calibration/histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "histogram_of.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr int kSide = Histogram::kSideBins;

// The definition in double precision, with all values in hand: the finest power of two (of at
// least 2^-100) whose bins reach the largest magnitude.
struct BruteForce {
  int exponent = -100;
  std::vector<int64_t> bins = std::vector<int64_t>(2 * kSide, 0);

  explicit BruteForce(const std::vector<float>& values) {
    double largest = 0;
    for (const float value : values)
      if (std::isfinite(value)) largest = std::max(largest, std::fabs(static_cast<double>(value)));
    while (largest >= std::ldexp(kSide, exponent)) ++exponent;
    for (const float value : values)
      if (std::isfinite(value))
        ++bins.at(static_cast<size_t>(
            std::floor(std::ldexp(static_cast<double>(value), -exponent)) + kSide));
  }
};

void check_same(const Histogram& histogram, const std::vector<float>& values) {
  const BruteForce wanted(values);
  CHECK(histogram.exponent() == wanted.exponent);
  CHECK(histogram.bin_width() == std::ldexp(1.0, wanted.exponent));
  CHECK((histogram.bins() == wanted.bins));
}

std::string refused(int exponent, std::vector<int64_t> bins, float min, float max,
                    int64_t bad = 0) {
  try {
    Histogram::restore(exponent, std::move(bins), min, max, bad);
  } catch (const Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.id();
  }
  return "";
}

}  // namespace

TEST_CASE("content does not depend on order, splitting or merging") {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 60; ++trial) {
    CAPTURE(trial);
    std::normal_distribution<double> magnitude(0, trial % 3 == 0 ? 20 : trial % 3 == 1 ? 3 : 0.3);
    std::vector<float> values;
    for (int i = 0; i < 300; ++i) {
      const uint64_t kind = random() % 10;
      const auto size = static_cast<float>(std::exp(magnitude(random)));
      values.push_back(kind == 0 ? 0.0f : kind == 1 ? -0.0f : kind < 6 ? size : -size);
    }
    const Histogram whole = histogram_of(values);
    check_same(whole, values);

    std::shuffle(values.begin(), values.end(), random);
    std::vector<Histogram> parts(5);
    for (size_t at = 0; at < values.size();) {
      const size_t length = std::min<size_t>(values.size() - at, random() % 40);
      parts[random() % parts.size()].add(std::span(values).subspan(at, length));
      at += length;
    }
    std::shuffle(parts.begin(), parts.end(), random);
    Histogram left = parts[0];
    left.merge(parts[1]);
    Histogram right = parts[2];
    right.merge(parts[3]);
    right.merge(parts[4]);
    left.merge(right);
    CHECK(left.exponent() == whole.exponent());
    CHECK((left.bins() == whole.bins()));
    CHECK(left.count() == 300);
    CHECK(left.min() == *std::min_element(values.begin(), values.end()));
    CHECK(left.max() == *std::max_element(values.begin(), values.end()));
  }
}

TEST_CASE("zeros first do not fix the width") {
  Histogram late = histogram_of({0, 0});
  late.add(std::vector<float>{1e-3f, 2e-3f});
  check_same(late, {0, 0, 1e-3f, 2e-3f});
  Histogram merged = histogram_of({0, 0});
  merged.merge(histogram_of({1e-3f, 2e-3f}));
  check_same(merged, {0, 0, 1e-3f, 2e-3f});
}

TEST_CASE("widening doubles the width and adds up neighbours") {
  Histogram histogram = histogram_of({1.0f, -1.0f, 1.9f});
  CHECK(histogram.exponent() == -10);
  CHECK(histogram.bins()[kSide + 1024] == 1);
  CHECK(histogram.bins()[kSide - 1024] == 1);
  histogram.add(std::vector<float>{8.0f});
  CHECK(histogram.exponent() == -7);
  CHECK(histogram.bins()[kSide + 128] == 1);
  CHECK(histogram.bins()[kSide - 128] == 1);
  CHECK(histogram.bins()[kSide + 1024] == 1);
  check_same(histogram, {1.0f, -1.0f, 1.9f, 8.0f});
}

TEST_CASE("values on the edges of bins belong to the upper bin") {
  for (const float scale : {1.0f, 0.015625f, 1024.0f}) {
    std::vector<float> values;
    for (int i = -kSide; i < kSide; ++i) values.push_back(scale * static_cast<float>(i) / 4);
    Histogram histogram = histogram_of(values);
    check_same(histogram, values);
  }
  const Histogram powers = histogram_of({2048.0f, 2047.0f, -2048.0f});
  check_same(powers, {2048.0f, 2047.0f, -2048.0f});
  CHECK(powers.bin_start(kSide) == 0);
  CHECK(powers.bin_center(kSide) == powers.bin_width() / 2);
}

TEST_CASE("one value, zeros, nothing, denormals") {
  check_same(histogram_of({3.25f}), {3.25f});
  check_same(histogram_of({-3.25f}), {-3.25f});
  check_same(histogram_of({0, 0, -0.0f}), {0, 0, -0.0f});
  CHECK(histogram_of({0, 0}).count() == 2);
  const Histogram empty;
  CHECK(empty.count() == 0);
  CHECK(empty.bins().empty());
  CHECK(empty.min() == 0);
  const float tiny = std::numeric_limits<float>::denorm_min();
  check_same(histogram_of({tiny, -tiny, 1e-39f}), {tiny, -tiny, 1e-39f});
  CHECK(histogram_of({tiny, -tiny}).max() == tiny);
  Histogram merged;
  merged.merge(histogram_of({2.0f}));
  merged.merge(empty);
  check_same(merged, {2.0f});
}

TEST_CASE("a huge range keeps the side of the tiny values") {
  const std::vector<float> values{1e-30f, -1e-30f, 1e30f, -1e-45f, 1e-45f};
  check_same(histogram_of(values), values);
  Histogram parts = histogram_of({1e30f});
  parts.add(std::vector<float>{-1e-30f, -1e-45f});
  parts.merge(histogram_of({1e-30f, 1e-45f}));
  check_same(parts, values);
  const float largest = std::numeric_limits<float>::max();
  check_same(histogram_of({largest, -largest, 1}), {largest, -largest, 1});
}

TEST_CASE("NaN and infinities are counted apart") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Histogram histogram = histogram_of({1, nan, INFINITY, -INFINITY, 2, -nan});
  CHECK(histogram.non_finite() == 4);
  CHECK(histogram.count() == 2);
  CHECK(histogram.min() == 1);
  CHECK(histogram.max() == 2);
  check_same(histogram, {1, 2});
  histogram.merge(histogram_of({nan}));
  CHECK(histogram.non_finite() == 5);
}

TEST_CASE("restore takes back what was saved and refuses damage") {
  const Histogram saved = histogram_of({1, -2, 3});
  const Histogram back = Histogram::restore(saved.exponent(), saved.bins(), -2, 3, 4);
  CHECK((back.bins() == saved.bins()));
  CHECK(back.count() == 3);
  CHECK(back.min() == -2);
  CHECK(back.non_finite() == 4);
  CHECK(Histogram::restore(0, {}, 0, 0, 0).count() == 0);

  const int exponent = saved.exponent();
  const std::vector<int64_t>& bins = saved.bins();
  std::vector<int64_t> negative = bins;
  negative[5] = -1;
  std::vector<int64_t> overflowing = bins;
  overflowing[5] = overflowing[6] = INT64_MAX;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(refused(exponent, negative, -2, 3) == "3 statistics.bins");
  CHECK(refused(exponent, overflowing, -2, 3) == "3 statistics.bins");
  CHECK(refused(exponent, std::vector<int64_t>(7, 1), -2, 3) == "3 statistics.bins");
  CHECK(refused(exponent, bins, 3, -2) == "3 statistics.bins");
  CHECK(refused(exponent, bins, nan, 3) == "3 statistics.bins");
  CHECK(refused(exponent, bins, -INFINITY, 3) == "3 statistics.bins");
  CHECK(refused(exponent, bins, -2, INFINITY) == "3 statistics.bins");
  CHECK(refused(exponent, bins, -2, 3, -1) == "3 statistics.bins");
  CHECK(refused(exponent + 1, bins, -2, 3) == "3 statistics.bins");
  CHECK(refused(exponent, bins, -2000, 3000) == "3 statistics.bins");
  CHECK(refused(-101, bins, -2, 3) == "3 statistics.bins");
  CHECK(refused(INT32_MAX, bins, -2, 3) == "3 statistics.bins");
}

}  // namespace lathe
