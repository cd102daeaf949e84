#include "ir/transpose.h"

#include <doctest/doctest.h>

#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

TEST_CASE("every element stands where its index says") {
  std::vector<int64_t> values(24);
  std::iota(values.begin(), values.end(), 0);
  const Tensor from = Tensor::of<int64_t>({2, 3, 4}, values);
  const Tensor to = transposed(from, {2, 0, 1});
  REQUIRE(to.shape() == Shape{4, 2, 3});
  for (size_t a = 0; a < 2; ++a)
    for (size_t b = 0; b < 3; ++b)
      for (size_t c = 0; c < 4; ++c)
        CHECK(to.values<int64_t>()[(c * 2 + a) * 3 + b] == values[(a * 3 + b) * 4 + c]);
  CHECK(transposed(to, inverse_order({2, 0, 1})).identical(from));
}

TEST_CASE("scalars, empty tensors and bytes are transposed, too") {
  CHECK(transposed(Tensor::scalar(3.F), {}).identical(Tensor::scalar(3.F)));
  CHECK(transposed(Tensor::of<float>({0, 2}, {}), {1, 0}).shape() == Shape{2, 0});
  CHECK(transposed(Tensor::of<int8_t>({1, 2}, {3, 4}), {1, 0})
            .identical(Tensor::of<int8_t>({2, 1}, {3, 4})));
  CHECK_THROWS_AS(transposed(Tensor::of<float>({1, 2}, {3, 4}), {0, 0}), InternalError);
  CHECK_THROWS_AS(transposed(Tensor::of<float>({1, 2}, {3, 4}), {0}), InternalError);
}

}  // namespace
}  // namespace lathe
