#include "quantize/plan/weight_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "quantize/plan/weight_params.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

// Integers of [-largest, largest] times one step a row, as floats; each row reaches `largest`.
std::vector<float> on_grid(size_t rows, size_t columns, int largest, bool one_step) {
  std::mt19937_64 random(5);
  std::vector<float> values;
  for (size_t r = 0; r < rows; ++r) {
    const float step = 0.0123f * static_cast<float>(one_step ? 1 : r + 1);
    for (size_t c = 0; c < columns; ++c) {
      const int integer = static_cast<int>(random() % static_cast<uint64_t>(2 * largest)) - largest;
      values.push_back(step * static_cast<float>(c == 0 ? largest : integer));
    }
  }
  return values;
}

double rounding_error(const Tensor& weight, const QuantParams& params) {
  const std::vector<int64_t> integers = quantize_tensor(weight, params).to_int64();
  double error = 0;
  for (size_t i = 0; i < integers.size(); ++i) {
    const size_t channel =
        params.scales.size() == 1 ? 0 : i / (integers.size() / params.scales.size());
    error = std::max(error, std::fabs(static_cast<double>(integers[i]) * params.scales[channel] -
                                      weight.values<float>()[i]));
  }
  return error;
}

}  // namespace

TEST_CASE("weights that are multiples of one step keep it, channel by channel, too") {
  // No row but the first reaches 127: scales from the rows' largest magnitudes would round.
  std::vector<float> values = on_grid(1, 20, 127, true);
  const std::vector<float> small = on_grid(3, 20, 50, true);
  values.insert(values.end(), small.begin(), small.end());
  const Tensor weight = Tensor::of<float>({4, 20, 1, 1}, values);
  for (const int64_t axis : {-1, 0}) {
    QuantParams params = weight_params(weight, DType::kInt8, axis);
    if (axis == 0) CHECK(rounding_error(weight, params) > 1e-3);
    CHECK(keep_weight_grid(weight, params, false) == (axis == 0 ? 4 : 1));
    for (const float scale : params.scales) CHECK(scale == doctest::Approx(0.0123));
    CHECK(rounding_error(weight, params) < 1e-6);
  }
}

TEST_CASE("each channel may have its own step") {
  const Tensor weight = Tensor::of<float>({4, 20}, on_grid(4, 20, 90, false));
  QuantParams params = weight_params(weight, DType::kInt8, 0);
  CHECK(rounding_error(weight, params) > 1e-3);
  CHECK(keep_weight_grid(weight, params, false) == 4);
  CHECK(rounding_error(weight, params) < 1e-5);
}

TEST_CASE("other weights, few weights and finer grids keep their scales") {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values(80);
  for (float& value : values) value = normal(random);
  const Tensor plain = Tensor::of<float>({4, 20}, values);
  const QuantParams before = weight_params(plain, DType::kInt8, 0);
  QuantParams params = before;
  CHECK(keep_weight_grid(plain, params, false) == 0);
  CHECK(params == before);

  CHECK_FALSE(weight_step(std::vector<float>{1, -2, 0}, 127).has_value());
  CHECK_FALSE(weight_step(std::vector<float>(9, 0), 127).has_value());
  CHECK_FALSE(weight_step(std::vector<float>{1, 2, 3, INFINITY}, 127).has_value());
  CHECK(weight_step(std::vector<float>{1, 2, 3, -100}, 127).has_value());
  CHECK_FALSE(weight_step(std::vector<float>{1, 2, 3, -100}, 63).has_value());
  // 7 bits have no room for the 127 steps.
  const Tensor fine = Tensor::of<float>({1, 20}, on_grid(1, 20, 127, true));
  QuantParams reduced = weight_params(fine, DType::kInt8, 0, true);
  CHECK(keep_weight_grid(fine, reduced, true) == 0);
}

TEST_CASE("steps too small for a normal float are none; without a scale biases are 0") {
  const float tiny = std::numeric_limits<float>::min();
  CHECK_FALSE(weight_step(std::vector<float>{tiny / 16, tiny / 8, 0, -tiny / 4, tiny / 2}, 127));
  const auto step = weight_step(std::vector<float>{tiny, 2 * tiny, 3 * tiny, -127 * tiny}, 127);
  REQUIRE(step.has_value());
  CHECK(*step == tiny);

  const Tensor bias = Tensor::of<float>({4}, {0, 3, 3, 5});
  const QuantParams params{DType::kInt32, {0, 0, NAN, 1}, {0, 0, 0, 0}, 0};
  CHECK(quantize_tensor(bias, params).to_int64() == std::vector<int64_t>{0, 0, 0, 5});
}

}  // namespace lathe
