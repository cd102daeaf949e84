#include "quantize/weights/learn_rounding.h"

#include <limits>

#include <array>

#include "doctest_after_torch.h"
#include "ir/seeded_random.h"

namespace lathe {
namespace {

at::Tensor random_floats(std::vector<int64_t> shape, uint64_t seed) {
  at::Tensor values = at::empty(shape, at::kFloat);
  SeededRandom random(seed, 0);
  for (int64_t i = 0; i < values.numel(); ++i)
    values.data_ptr<float>()[i] =
        static_cast<float>(static_cast<double>(random.next() >> 11) * 0x1p-53 - 0.5);
  return values;
}

struct LayerCase {
  at::Tensor weights;
  at::Tensor bias;
  LayerRows rows;
  WeightGrid grid;
};

LayerCase make_layer_case(int64_t groups, int64_t outputs, int64_t inputs) {
  LayerCase made;
  made.weights = random_floats({groups, outputs, inputs}, 1).to(at::kDouble);
  made.bias = random_floats({groups, outputs}, 2).to(at::kDouble);
  const at::Tensor x =
      at::matmul(random_floats({600, 5}, 3), random_floats({5, groups * inputs}, 4));
  const at::Tensor y = at::matmul(x.view({600, groups, inputs}).transpose(0, 1),
                                  made.weights.to(at::kFloat).transpose(1, 2)) +
                       made.bias.to(at::kFloat).unsqueeze(1);
  made.rows = {x, y.transpose(0, 1).reshape({600, groups * outputs}).contiguous()};
  made.grid = {made.weights.abs().amax(-1, true) / 7, 7};
  return made;
}

double sum_of(const at::Tensor& errors) { return errors.sum().item<double>(); }

}  // namespace

TEST_CASE("learn_rounding loses less behind the activation than nearest") {
  using Sizes = std::array<int64_t, 3>;
  for (const auto& [groups, outputs, inputs] : {Sizes{1, 70, 24}, Sizes{33, 1, 9}}) {
    const LayerCase made = make_layer_case(groups, outputs, inputs);
    LearnRoundingOptions options;
    options.bounds = {0, 6};
    options.iterations = 600;
    const at::Tensor nearest = round_to_nearest(made.weights, made.grid);
    const at::Tensor learned =
        learn_rounding(made.weights, nearest, made.bias, made.rows, made.grid, options);
    const double before = sum_of(clamped_errors(nearest, made.bias, made.rows, options.bounds));
    CHECK(sum_of(clamped_errors(learned, made.bias, made.rows, options.bounds)) < 0.75 * before);
    // On the grid, and no further from a weight than one step.
    const at::Tensor steps = learned / made.grid.scale;
    CHECK((steps - steps.round()).abs().max().item<double>() < 1e-9);
    CHECK(((learned - made.weights) / made.grid.scale).abs().max().item<double>() <= 1 + 1e-9);
    options.threads = 3;
    CHECK(at::equal(
        learned, learn_rounding(made.weights, nearest, made.bias, made.rows, made.grid, options)));
  }
}

TEST_CASE("clamped_errors counts only what the activation lets through") {
  const LayerRows rows{at::ones({1, 1}, at::kFloat), at::full({1, 1}, 9.0, at::kFloat)};
  const at::Tensor weight = at::full({1, 1, 1}, 7.0, at::kDouble);
  const at::Tensor bias = at::zeros({1, 1}, at::kDouble);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(sum_of(clamped_errors(weight, bias, rows, {0, 6})) == 0);
  CHECK(sum_of(clamped_errors(weight, bias, rows, {0, 8})) == doctest::Approx(1));
  CHECK(sum_of(clamped_errors(weight, bias, rows, {-kInfinity, kInfinity})) == doctest::Approx(4));
}

}  // namespace lathe
