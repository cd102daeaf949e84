#include "quantize/weights/clamped_pull.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace lathe {

TEST_CASE("clamped_pull: equal to its definition, with and without bounds") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal(0, 2);
  for (const ClampBounds bounds : {ClampBounds{0, 3}, ClampBounds{-kInfinity, kInfinity}})
    for (const size_t channels : {size_t{1}, size_t{7}, size_t{64}}) {
      constexpr size_t kRows = 600;
      std::vector<float> made(kRows * channels);
      std::vector<float> wanted(made.size());
      std::vector<float> shift(channels);
      for (std::vector<float>* values : {&made, &wanted, &shift})
        for (float& value : *values) value = normal(random);
      const ClampedPull sums = clamped_pull(made, wanted, shift, bounds);
      for (size_t c = 0; c < channels; ++c) {
        double pull = 0;
        double open = 0;
        for (size_t row = 0; row < kRows; ++row) {
          const float out = made[row * channels + c] + shift[c];
          if (out < bounds.low || out > bounds.high) continue;
          pull +=
              static_cast<double>(std::clamp(wanted[row * channels + c], bounds.low, bounds.high)) -
              out;
          open += 1;
        }
        CHECK(sums.open.at(c) == open);
        CHECK(sums.pull.at(c) == doctest::Approx(pull).epsilon(1e-4).scale(10));
      }
    }
  CHECK(clamped_pull({}, {}, {}, {}).pull.empty());
}

}  // namespace lathe
