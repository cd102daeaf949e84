#include <doctest/doctest.h>

#include <cmath>

#include "ir/seeded_random.h"

namespace lathe {

TEST_CASE("seeded numbers are the same for ever, and normal enough") {
  SeededRandom same(1, 2);
  SeededRandom again(1, 2);
  SeededRandom stream(1, 3);
  SeededRandom seed(2, 2);
  const uint64_t first = same.next();
  CHECK(first == again.next());
  CHECK(first != stream.next());
  CHECK(first != seed.next());
  double sum = 0;
  double squares = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double x = same.normal();
    CHECK(std::abs(x) <= 6);
    sum += x;
    squares += x * x;
  }
  CHECK(std::abs(sum / kCount) < 0.02);
  CHECK(squares / kCount == doctest::Approx(1).epsilon(0.02));
}

}  // namespace lathe
