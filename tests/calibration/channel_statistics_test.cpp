#include "calibration/channel_statistics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ir/error.h"

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
  std::normal_distribution<float> normal(0.1f, 30);
  std::vector<std::vector<float>> samples(200, std::vector<float>(5 * 7));
  for (auto& sample : samples)
    for (float& value : sample)
      value = normal(random) * std::ldexp(1.0f, static_cast<int>(random() % 20) - 10);
  ChannelSums in_order;
  for (const auto& sample : samples) in_order.add(sample, 5, 7);
  for (int trial = 0; trial < 10; ++trial) {
    std::shuffle(samples.begin(), samples.end(), random);
    std::vector<ChannelSums> parts(4);
    for (const auto& sample : samples) parts[random() % 4].add(sample, 5, 7);
    ChannelSums merged;
    for (const ChannelSums& part : parts) merged.merge(part);
    CHECK((merged.statistics() == in_order.statistics()));
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
