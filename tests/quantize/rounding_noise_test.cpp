#include "verify/rounding_noise.h"

#include <cmath>

#include "quantize/apply/quantize_dynamically.h"
#include "quantize_case.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::network;
using test::normal_data;
using test::values_text;

TEST_CASE("dynamic integers round as much as floats of the same weights tell") {
  // Weights that are integers times their scale: rounding is the inputs' alone.
  std::string grid = "{";
  for (int i = 0; i < 64; ++i)
    grid += (i == 0 ? "" : ", ") + std::to_string(i < 8 ? 127 : (i * 37) % 255 - 127);
  const Graph floats =
      network("agraph (float[3,8] x) => (float[3,8] y)\n<float[8,8] w = " + grid +
              "}> { a = MatMul(x, w)  t = Relu(a)  y = MatMul(t, w) }");
  Graph integers = floats;
  quantize_dynamically(integers, plan_dynamic(floats, {}));
  REQUIRE(is_quantized(integers));
  const double alone = rounding_noise(Interpreter(integers), normal_data(integers, 8))[0].sqnr_db();
  CHECK(alone == doctest::Approx(test::sqnr_between(floats, integers)).epsilon(0.1));
  CHECK(std::isfinite(alone));
  CHECK(alone > 25);
  CHECK(alone < 60);
}

}  // namespace lathe
