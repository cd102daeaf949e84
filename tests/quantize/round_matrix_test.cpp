#include "quantize/weights/round_matrix.h"

#include <pthread.h>

#include <array>
#include <cmath>
#include <functional>
#include <system_error>
#include <thread>

#include "doctest_after_torch.h"
#include "ir/seeded_random.h"
#include "layers/run_tasks.h"

namespace lathe {
namespace {

at::Tensor random_doubles(std::vector<int64_t> shape, uint64_t seed) {
  at::Tensor values = at::empty(shape, at::kDouble);
  SeededRandom random(seed, 0);
  for (int64_t i = 0; i < values.numel(); ++i)
    values.data_ptr<double>()[i] = static_cast<double>(random.next() >> 11) * 0x1p-53 - 0.5;
  return values;
}

// Inputs that depend on each other, so that one can make up for another.
at::Tensor correlated_rows(int64_t rows, int64_t inputs, uint64_t seed) {
  return at::matmul(random_doubles({rows, 4}, seed), random_doubles({4, inputs}, seed + 1)) +
         0.1 * random_doubles({rows, inputs}, seed + 2);
}

struct GramCase {
  at::Tensor weights;
  at::Tensor gram;
  WeightGrid grid;
};

GramCase make_gram_case(int64_t groups, int64_t outputs, int64_t inputs) {
  const at::Tensor x =
      correlated_rows(400, groups * inputs, 7).view({400, groups, inputs}).transpose(0, 1);
  GramCase made;
  made.weights = random_doubles({groups, outputs, inputs}, 3);
  made.gram = at::matmul(x.transpose(1, 2), x);
  made.grid = {made.weights.abs().amax(-1, true) / 7, 7};
  return made;
}

// trace((Q - W) G (Q - W)^T) of every output.
at::Tensor rounding_errors(const at::Tensor& weights, const at::Tensor& rounded,
                           const at::Tensor& gram) {
  const at::Tensor change = rounded - weights;
  return (at::matmul(change, gram) * change).sum(-1);
}

at::Tensor compensated(const GramCase& made, double damping, int threads) {
  return round_compensated(made.weights, compensation_factor(made.gram, damping), made.grid,
                           threads);
}

double total(const at::Tensor& errors) { return errors.sum().item<double>(); }

bool is_on_grid(const at::Tensor& rounded, const WeightGrid& grid) {
  const at::Tensor steps = rounded / grid.scale;
  return (steps - steps.round()).abs().max().item<double>() < 1e-9 &&
         steps.abs().max().item<double>() < grid.qmax + 1e-9;
}

}  // namespace

TEST_CASE("the factor of few rows is that of their Gram matrix") {
  const at::Tensor x = correlated_rows(30, 140, 5);
  const at::Tensor gram = at::matmul(x.t(), x).unsqueeze(0);
  for (const double damping : {0.01, 1.0}) {
    CAPTURE(damping);
    const at::Tensor wanted = compensation_factor(gram, damping);
    const at::Tensor got = compensation_factor_of_rows(x, damping);
    CHECK(((got - wanted).abs().max() / wanted.abs().max()).item<double>() < 1e-8);
  }
  const at::Tensor none = compensation_factor_of_rows(at::zeros_like(x), 0.01);
  CHECK(none.isfinite().all().item<bool>());
}

TEST_CASE("round_compensated loses less at the outputs than rounding to nearest") {
  using Sizes = std::array<int64_t, 3>;
  for (const auto& [groups, outputs, inputs] :
       {Sizes{1, 70, 150}, Sizes{40, 1, 9}, Sizes{3, 5, 20}}) {
    const GramCase made = make_gram_case(groups, outputs, inputs);
    const at::Tensor nearest = round_to_nearest(made.weights, made.grid);
    const at::Tensor rounded = compensated(made, 0.01, 1);
    CHECK(is_on_grid(rounded, made.grid));
    const double plain = total(rounding_errors(made.weights, nearest, made.gram));
    const double better = total(rounding_errors(made.weights, rounded, made.gram));
    CHECK(better < 0.6 * plain);
  }
}

TEST_CASE("round_compensated follows the textbook recursion") {
  // One output, three inputs: after each input the rest is solved anew by least squares.
  const GramCase made = make_gram_case(1, 1, 3);
  const at::Tensor rounded = compensated(made, 0, 1);
  at::Tensor left = made.weights.view({3}).clone();
  const at::Tensor gram = made.gram[0];
  for (int64_t i = 0; i < 3; ++i) {
    const double scale = made.grid.scale.item<double>();
    const double q = std::nearbyint(left[i].item<double>() / scale) * scale;
    CHECK(rounded.view({3})[i].item<double>() == doctest::Approx(q));
    const double error = q - left[i].item<double>();
    left[i] = q;
    const int64_t rest = 2 - i;
    if (rest == 0) break;
    // min over d of the error's and d's joint outputs: d = -G_rr^-1 G_ri * error.
    const at::Tensor inner = gram.narrow(0, i + 1, rest).narrow(1, i + 1, rest);
    const at::Tensor side = gram.narrow(0, i + 1, rest).select(1, i);
    left.narrow(0, i + 1, rest).sub_(at::matmul(at::linalg_inv(inner), side) * error);
  }
}

TEST_CASE("rounding gives the same bits for any number of threads") {
  const GramCase made = make_gram_case(2, 130, 70);
  const at::Tensor one = compensated(made, 0.01, 1);
  CHECK(at::equal(one, compensated(made, 0.01, 4)));
}

TEST_CASE("tasks run on the threads that there are when no more can be started") {
  // No address space holds stacks of this size.
  pthread_attr_t usual;
  pthread_attr_t huge;
  REQUIRE(pthread_getattr_default_np(&usual) == 0);
  REQUIRE(pthread_getattr_default_np(&huge) == 0);
  REQUIRE(pthread_attr_setstacksize(&huge, size_t{1} << 50) == 0);
  REQUIRE(pthread_setattr_default_np(&huge) == 0);
  std::vector<int> runs(5, 0);
  std::vector<std::function<void()>> tasks;
  for (int& count : runs) tasks.emplace_back([&count] { ++count; });
  bool refused = false;
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    refused = true;
  }
  if (refused) CHECK_NOTHROW(run_tasks(tasks, 4));
  pthread_setattr_default_np(&usual);
  pthread_attr_destroy(&usual);
  pthread_attr_destroy(&huge);
  CHECK(refused);
  CHECK(runs == std::vector<int>(5, 1));
}

TEST_CASE("inputs that are always zero and equal inputs are rounded, too") {
  GramCase made = make_gram_case(1, 4, 6);
  made.gram.zero_();
  CHECK(at::allclose(compensated(made, 0.01, 1), round_to_nearest(made.weights, made.grid)));
  made.gram.fill_(1.0);
  CHECK(is_on_grid(compensated(made, 0, 1), made.grid));
}

TEST_CASE("clipped_grid: scales of less error, never of more; a grid that fits stays") {
  for (const double qmax : {7.0, 127.0}) {
    GramCase made = make_gram_case(3, 5, 20);
    // Most weights are small: clipping the largest gives the others finer steps.
    made.weights = made.weights.pow(5);
    made.grid = {made.weights.abs().amax(-1, true) / qmax, qmax};
    made.grid.scale = made.grid.scale.to(at::kFloat).to(at::kDouble);
    const at::Tensor importance = made.gram.diagonal(0, -2, -1);
    const auto errors = [&](const WeightGrid& grid) {
      const at::Tensor change = round_to_nearest(made.weights, grid) - made.weights;
      return (change.square() * importance.unsqueeze(1)).sum(-1);
    };
    const WeightGrid clipped = clipped_grid(made.weights, importance, made.grid);
    CHECK(clipped.scale.sizes() == made.grid.scale.sizes());
    CHECK(errors(clipped).le(errors(made.grid)).all().item<bool>());
    CHECK(total(errors(clipped)) < (qmax > 15 ? 0.95 : 0.9) * total(errors(made.grid)));
    CHECK(at::equal(clipped.scale, clipped.scale.to(at::kFloat).to(at::kDouble)));

    const at::Tensor exact = round_to_nearest(made.weights, made.grid);
    CHECK(at::equal(clipped_grid(exact, importance, made.grid).scale, made.grid.scale));
  }
}

TEST_CASE("clipped_grid: one scale for the whole weight") {
  GramCase made = make_gram_case(2, 3, 10);
  made.grid = {made.weights.abs().max().view({1, 1, 1}) / 7, 7};
  const WeightGrid clipped = clipped_grid(made.weights, made.gram.diagonal(0, -2, -1), made.grid);
  CHECK(clipped.scale.numel() == 1);
}

}  // namespace lathe
