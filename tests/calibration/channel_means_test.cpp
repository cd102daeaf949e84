#include "calibration/channel_means.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "ir/error.h"
#include "scaled_samples.h"

namespace lathe {

TEST_CASE("means of channels between outer and inner") {
  // [2 outer, 2 channels, 3 inner]
  const std::vector<float> values{1, 2, 3, 10, 20, 30, 5, 6, 7, 50, 60, 70};
  ChannelMeans means;
  CHECK(means.means().empty());
  means.add(values, 2, 3);
  CHECK(means.means() == std::vector<double>{4, 40});
  means.add(std::vector<float>{0, 0, 0, -40, -40, -40}, 2, 3);
  CHECK(means.means() == std::vector<double>{2, 0});
}

TEST_CASE("sums are the same to the last bit in any order and grouping") {
  std::mt19937_64 random(3);
  const std::vector<std::vector<float>> samples = scaled_samples(5 * 7, random);
  ChannelMeans in_order;
  for (const auto& sample : samples) in_order.add(sample, 5, 7);
  std::vector<long double> wanted(5, 0);
  for (const auto& sample : samples)
    for (size_t i = 0; i < sample.size(); ++i)
      wanted[i / 7] += static_cast<long double>(sample[i]) / 7;
  for (size_t c = 0; c < 5; ++c)
    CHECK(in_order.means()[c] ==
          doctest::Approx(static_cast<double>(wanted[c] / 200)).epsilon(1e-9));
  CHECK(same_in_any_order<ChannelMeans>(samples, 5, 7, random,
                                        [](const ChannelMeans& means) { return means.means(); }));
}

TEST_CASE("very small means are kept") {
  for (const float height : {1e-3f, 1e-10f, 1e-20f}) {
    CAPTURE(height);
    ChannelMeans means;
    for (int i = 0; i < 100; ++i) means.add(std::vector<float>{height, -3 * height}, 2, 1);
    CHECK(means.means()[0] / height == doctest::Approx(1).epsilon(1e-4));
    CHECK(means.means()[1] / height == doctest::Approx(-3).epsilon(1e-4));
  }
}

TEST_CASE("another number of channels is refused, nothing at all is not") {
  ChannelMeans means;
  means.add(std::vector<float>{1, 2}, 2, 1);
  CHECK_THROWS_AS(means.add(std::vector<float>{1, 2, 3}, 3, 1), Error);
  ChannelMeans other;
  other.add(std::vector<float>{1, 2, 3}, 3, 1);
  CHECK_THROWS_AS(means.merge(other), Error);
  means.add({}, 2, 1);
  means.merge(ChannelMeans());
  CHECK(means.means() == std::vector<double>{1, 2});
}

TEST_CASE("NaN, infinity and what is out of bounds do no harm to other channels") {
  ChannelMeans means;
  means.add(std::vector<float>{1, NAN, INFINITY, 3e38f}, 4, 1);
  CHECK(means.means()[0] == 1);
  for (const double mean : means.means()) CHECK(std::isfinite(mean));
}

}  // namespace lathe
