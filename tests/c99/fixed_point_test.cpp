#include "c99/fixed_point.h"

#include <doctest/doctest.h>

#include <cmath>

#include "ir/seeded_random.h"

namespace lathe {
namespace {

TEST_CASE("factors of 31 bits and a shift") {
  CHECK(fixed_point(0.5) == FixedPoint{1 << 30, 0});
  CHECK(fixed_point(1) == FixedPoint{1 << 30, 1});
  CHECK(fixed_point(0.75) == FixedPoint{3 << 29, 0});
  CHECK(fixed_point(0) == FixedPoint{});
  CHECK(fixed_point(-1) == FixedPoint{});
  CHECK(fixed_point(0x1p-40) == FixedPoint{});
  // What rounds up to the next power of two.
  CHECK(fixed_point(1 - 0x1p-40) == FixedPoint{1 << 30, 1});
  SeededRandom random(1, 2);
  for (int i = 0; i < 1000; ++i) {
    const double factor = std::exp2(8 * random.normal());
    const FixedPoint point = fixed_point(factor);
    if (point.multiplier == 0) continue;
    CHECK(point.multiplier >= 1 << 30);
    CHECK(std::ldexp(point.multiplier, point.shift - 31) == doctest::Approx(factor).epsilon(1e-9));
  }
}

TEST_CASE("what a softmax of bytes is told") {
  // 2^26 / 16 is 0.5 * 2^23; the bound is by the shift alone: 31 * 2^26 / 2^23.
  const SoftmaxTerms terms = softmax_terms(1.0 / 16);
  CHECK(terms.difference == FixedPoint{1 << 30, 23});
  CHECK(terms.least_difference == -static_cast<int32_t>(31 * 8));
}

}  // namespace
}  // namespace lathe
