#include "calibration/channel_statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "ir/error.h"
#include "scaled_samples.h"

namespace lathe {

TEST_CASE("statistics of channels between outer and inner") {
  // [2 outer, 2 channels, 3 inner]
  const std::vector<float> values{1, 2, 3, 10, 20, 30, 5, 6, 7, 50, 60, -70};
  ChannelSums sums;
  CHECK(sums.statistics().channels() == 0);
  sums.add(values, 2, 3);
  const ChannelStatistics found = sums.statistics();
  CHECK(found.min == std::vector<double>{1, -70});
  CHECK(found.max == std::vector<double>{7, 60});
  CHECK(found.mean[0] == 4);
  CHECK(found.mean[1] == doctest::Approx(100.0 / 6));
  CHECK(found.mean_square[0] == doctest::Approx((1 + 4 + 9 + 25 + 36 + 49) / 6.0));
  CHECK(found.variance(0) == doctest::Approx(124 / 6.0 - 16));
}

TEST_CASE("channel sums are the same to the last bit in any order and grouping") {
  std::mt19937_64 random(3);
  CHECK(same_in_any_order<ChannelSums>(scaled_samples(5 * 7, random), 5, 7, random,
                                       [](const ChannelSums& sums) { return sums.statistics(); }));
}

TEST_CASE("very small signals keep their means and squares") {
  for (const double height : {1e-3, 1e-7, 1e-12, 1e-18}) {
    CAPTURE(height);
    const auto high = static_cast<float>(height);
    ChannelSums sums;
    for (int i = 0; i < 100; ++i) sums.add(std::vector<float>{high, high, -high, high}, 1, 4);
    const ChannelStatistics found = sums.statistics();
    const double square = static_cast<double>(high) * high;
    CHECK(found.mean[0] / high == doctest::Approx(0.5).epsilon(1e-4));
    CHECK(found.mean_square[0] / square == doctest::Approx(1).epsilon(1e-4));
    CHECK(found.variance(0) / square == doctest::Approx(0.75).epsilon(1e-4));
    CHECK(found.peak_mean[0] / high == doctest::Approx(1).epsilon(1e-4));
    CHECK(found.peak_mean_square[0] / square == doctest::Approx(1).epsilon(1e-4));
  }
}

TEST_CASE("NaN, infinity and what is out of bounds leave a sample out of its channel alone") {
  ChannelSums sums;
  sums.add(std::vector<float>{1, NAN, INFINITY, 3e38f}, 4, 1);
  sums.add(std::vector<float>{3, 4, -5, 6}, 4, 1);
  const ChannelStatistics found = sums.statistics();
  CHECK(found.mean == std::vector<double>{2, 4, -5, 6});
  CHECK(found.min == std::vector<double>{1, 4, -5, 6});
  ChannelSums none;
  none.add(std::vector<float>{NAN}, 1, 1);
  CHECK(none.statistics().mean == std::vector<double>{0});
}

TEST_CASE("another number of channels is refused, nothing at all is not") {
  ChannelSums sums;
  sums.add(std::vector<float>{1, 2}, 2, 1);
  CHECK_THROWS_AS(sums.add(std::vector<float>{1, 2, 3}, 3, 1), Error);
  ChannelSums other;
  other.add(std::vector<float>{1, 2, 3}, 3, 1);
  CHECK_THROWS_AS(sums.merge(other), Error);
  sums.add({}, 2, 1);
  sums.merge(ChannelSums());
  CHECK(sums.statistics().mean == std::vector<double>{1, 2});
}

}  // namespace lathe
