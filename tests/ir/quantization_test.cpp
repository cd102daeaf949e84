#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ir/quantization.h"

namespace lathe {
namespace {

TEST_CASE("asymmetric parameters hold zero exactly") {
  for (const auto& [min, max] : {std::pair{-1.0, 3.0}, {0.5, 2.0}, {-4.0, -1.0}, {-1e-6, 1e6}}) {
    const ScaleZeroPoint q = choose_asymmetric(min, max, 0, 255);
    CHECK(q.zero_point >= 0);
    CHECK(q.zero_point <= 255);
    CHECK(dequantize(quantize(0, q.scale, q.zero_point, 0, 255), q.scale, q.zero_point) == 0);
    // Both ends come back within half a step, except for the rounding of the zero point.
    for (const double end : {std::min(min, 0.0), std::max(max, 0.0)}) {
      const auto x = static_cast<float>(end);
      const float back =
          dequantize(quantize(x, q.scale, q.zero_point, 0, 255), q.scale, q.zero_point);
      CHECK(std::abs(back - x) <= q.scale);
    }
  }
}

TEST_CASE("a positive range starts at zero, a negative one ends there") {
  CHECK(choose_asymmetric(0.5, 2, 0, 255).zero_point == 0);
  CHECK(choose_asymmetric(0.5, 2, 0, 255).scale == doctest::Approx(2.0 / 255));
  CHECK(choose_asymmetric(-2, -1, 0, 255).zero_point == 255);
  CHECK(choose_asymmetric(0, 2, -128, 127).zero_point == -128);
}

TEST_CASE("degenerate ranges still give usable parameters") {
  const double inf = std::numeric_limits<double>::infinity();
  for (const auto& [min, max] :
       {std::pair{0.0, 0.0}, {-inf, 1.0}, {std::nan(""), 1.0}, {0.0, 1e-300}}) {
    const ScaleZeroPoint q = choose_asymmetric(min, max, 0, 255);
    CHECK(std::isnormal(q.scale));
    CHECK(q.zero_point >= 0);
    CHECK(q.zero_point <= 255);
  }
  CHECK(choose_symmetric(0, 127).scale == 1);
  CHECK(std::isnormal(choose_symmetric(1e-45, 127).scale));
  CHECK(choose_symmetric(127, 127).scale == 1);
}

TEST_CASE("rounding is half to even, then saturated") {
  CHECK(quantize(0.5F, 1, 0, -128, 127) == 0);
  CHECK(quantize(1.5F, 1, 0, -128, 127) == 2);
  CHECK(quantize(-2.5F, 1, 0, -128, 127) == -2);
  CHECK(quantize(2.5F, 1, 1, -128, 127) == 3);  // the zero point is added after rounding
  CHECK(quantize(1e30F, 1, 0, -128, 127) == 127);
  CHECK(quantize(-std::numeric_limits<float>::infinity(), 1, 0, -128, 127) == -128);
  CHECK(quantize(std::nanf(""), 1, 5, -128, 127) == 5);
}

}  // namespace
}  // namespace lathe
