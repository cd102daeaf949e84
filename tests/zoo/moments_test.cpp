#include <doctest/doctest.h>

#include <cmath>

#include "ir/error.h"
#include "zoo/layer_builder.h"

namespace lathe {

using doctest::Approx;

TEST_CASE("moments of activations of a standard normal signal") {
  const Moments x = same_moments(2, 0, 1);
  const Moments relu = after_activation(x, Activation::kRelu);
  CHECK(relu.mean[0] == Approx(0.3989).epsilon(0.01));             // 1 / sqrt(2 pi)
  CHECK(relu.variance[0] == Approx(0.5 - 0.15915).epsilon(0.01));  // 1/2 - 1 / (2 pi)
  CHECK(relu.mean[1] == relu.mean[0]);
  CHECK(after_activation(x, Activation::kTanh).mean[0] == Approx(0).epsilon(1e-3));
  CHECK(after_activation(x, Activation::kTanh).variance[0] == Approx(0.3943).epsilon(0.01));
  CHECK(after_activation(x, Activation::kSigmoid).mean[0] == Approx(0.5));
  CHECK(after_activation(x, Activation::kSilu).mean[0] == Approx(0.2066).epsilon(0.01));
  CHECK(after_activation(x, Activation::kGelu).mean[0] == Approx(0.2821).epsilon(0.02));
  CHECK(after_activation(x, Activation::kHardSigmoid).mean[0] == Approx(0.5));
  // E[x clip(x/6 + 1/2)] = 1/6 up to the tails.
  CHECK(after_activation(x, Activation::kHardSwish).mean[0] == Approx(1 / 6.0).epsilon(0.02));
  const Moments high = after_activation(same_moments(1, 20, 1), Activation::kRelu6);
  CHECK(high.mean[0] == Approx(6));
  CHECK(high.variance[0] < 1e-5);
}

TEST_CASE("a normalized convolution has the moments that its statistics promise") {
  LayerBuilder b("test", 3);
  const ValueId x = b.activation(b.input("x", {8, 32, 32}), Activation::kRelu, "relu");
  const ValueId y = b.conv(x, {.out = 64, .kernel = 3, .bias = true}, "conv");
  CHECK(b.expected(y).mean_variance() == Approx(1).epsilon(0.15));
  for (const double mean : b.expected(y).mean) CHECK(std::abs(mean) < 0.6);
  const ValueId z = b.batch_norm(y, "bn", 1e-5, 0.5);
  CHECK(b.expected(z).mean_variance() == Approx(0.25).epsilon(0.1));
  CHECK(b.dims(z) == Dims{Dim::named("N"), Dim::of(64), Dim::of(32), Dim::of(32)});
}

TEST_CASE("sums, products, and what nobody said") {
  const Moments sum = sum_moments(same_moments(1, 1, 2), same_moments(1, 3, 4));
  CHECK(sum.mean[0] == 4);
  CHECK(sum.variance[0] == 6);
  const Moments product = product_moments(same_moments(1, 1, 2), same_moments(1, 3, 4));
  CHECK(product.mean[0] == 3);
  CHECK(product.variance[0] == (2 + 1) * (4 + 9) - 9);
  LayerBuilder b("test", 0);
  const ValueId x = b.input("x", {4}, DType::kInt64);
  CHECK_THROWS_AS(b.expected(x), InternalError);
}

}  // namespace lathe
