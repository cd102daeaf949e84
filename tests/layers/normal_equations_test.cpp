#include "layers/normal_equations.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "doctest_after_torch.h"

namespace lathe {
namespace {

at::Tensor random_doubles(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape, at::TensorOptions().dtype(at::kDouble));
}

NormalEquations in_portions(const at::Tensor& x, const at::Tensor& y, int64_t groups,
                            int threads = 1) {
  NormalEquations equations(groups, x.size(1) / groups, y.size(1) / groups);
  for (int64_t at = 0; at < x.size(0); at += 100) {
    const int64_t length = std::min<int64_t>(100, x.size(0) - at);
    equations.add(x.narrow(0, at, length).contiguous(), y.narrow(0, at, length).contiguous(),
                  threads);
  }
  return equations;
}

double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

}  // namespace

TEST_CASE("normal equations agree with a direct least-squares solution in double") {
  const c10::InferenceMode inference;
  const at::Tensor x = random_doubles({730, 120}, 1) + 0.5;
  const at::Tensor y = random_doubles({730, 7}, 2) + x.narrow(1, 0, 7) + 3;
  const NormalEquations equations = in_portions(x, y, 1);
  const NormalEquations::Solution solution = equations.solve(0, true);
  const at::Tensor ones = at::ones({730, 1}, x.options());
  const auto [direct, rest, rank, values] =
      at::linalg_lstsq(at::cat({x, ones}, 1), y, c10::nullopt, "gelsd");
  CHECK(largest(solution.weight[0] - direct.narrow(0, 0, 120).t()) < 1e-9);
  CHECK(largest(solution.shift[0] - direct[120]) < 1e-9);
  const double error =
      (y - x.matmul(solution.weight[0].t()) - solution.shift[0]).square().sum().item<double>();
  CHECK(equations.squared_error(solution) == doctest::Approx(error).epsilon(1e-9));
}

TEST_CASE("groups are solved by themselves, and a ridge pulls towards zero") {
  const c10::InferenceMode inference;
  const at::Tensor x = random_doubles({300, 12}, 3);
  const at::Tensor y = random_doubles({300, 6}, 4);
  const NormalEquations::Solution together = in_portions(x, y, 3).solve(1e-3, true);
  for (int64_t g = 0; g < 3; ++g) {
    const NormalEquations::Solution alone =
        in_portions(x.narrow(1, 4 * g, 4), y.narrow(1, 2 * g, 2), 1).solve(1e-3, true);
    CHECK(largest(together.weight[g] - alone.weight[0]) < 1e-12);
  }
  const NormalEquations equations = in_portions(x, y, 1);
  const double plain = equations.solve(0, true).weight.square().sum().item<double>();
  const double pulled = equations.solve(10, true).weight.square().sum().item<double>();
  CHECK(pulled < 0.1 * plain);
}

TEST_CASE("subtracting known weights leaves the equations of the rest") {
  const c10::InferenceMode inference;
  const at::Tensor x = random_doubles({200, 10}, 5);
  const at::Tensor y = random_doubles({200, 4}, 6);
  const NormalEquations::Solution known{random_doubles({1, 4, 10}, 7), random_doubles({1, 4}, 8)};
  const at::Tensor rest = y - x.matmul(known.weight[0].t()) - known.shift[0];
  NormalEquations equations = in_portions(x, y, 1);
  equations.subtract(known);
  CHECK(equations.squared_sum() == doctest::Approx(rest.square().sum().item<double>()));
  const NormalEquations::Solution a = equations.solve(0.1, true);
  const NormalEquations::Solution b = in_portions(x, rest, 1).solve(0.1, true);
  CHECK(largest(a.weight - b.weight) < 1e-12);
  CHECK(largest(a.shift - b.shift) < 1e-12);
}

TEST_CASE("few rows beside the unknowns give what the equations of all unknowns give") {
  const c10::InferenceMode inference;
  const int64_t inputs = 250;
  const at::Tensor x = random_doubles({60, inputs}, 11) + 0.5;
  const at::Tensor y = random_doubles({60, 5}, 12) - 2;
  for (const bool intercept : {false, true}) {
    CAPTURE(intercept);
    NormalEquations few = in_portions(x, y, 1);
    REQUIRE(few.kept_rows(intercept).defined());
    const auto centred = [&](const at::Tensor& all) {
      return intercept ? all - all.mean(0, true) : all;
    };
    const at::Tensor gram = centred(x).t().matmul(centred(x));
    CHECK(largest(few.gram(intercept)[0] - gram) < 1e-9);
    CHECK(largest(few.gram_diagonal(intercept)[0] - gram.diagonal()) < 1e-9);
    const at::Tensor ridge = 0.1 * gram.diagonal().mean() * at::eye(inputs, x.options());
    const at::Tensor direct =
        at::linalg_solve(gram + ridge, centred(x).t().matmul(centred(y))).t();
    const NormalEquations::Solution solution = few.solve(0.1, intercept);
    CHECK(largest(solution.weight[0] - direct) < 1e-9);
    const at::Tensor rest = y - x.matmul(direct.t()) - solution.shift[0];
    CHECK(few.squared_error(solution) ==
          doctest::Approx(rest.square().sum().item<double>()).epsilon(1e-9));
    if (intercept) CHECK(largest(rest.mean(0)) < 1e-9);
    few.subtract(solution);
    CHECK(few.squared_sum() == doctest::Approx(rest.square().sum().item<double>()));
    CHECK(few.solve(0, intercept).weight.isfinite().all().item<bool>());
  }
  // More rows: the equations again, those kept before included.
  const at::Tensor more = random_doubles({400, inputs}, 13);
  const at::Tensor wanted = random_doubles({400, 5}, 14);
  const NormalEquations all = in_portions(at::cat({x, more}), at::cat({y, wanted}), 1);
  CHECK_FALSE(all.kept_rows(true).defined());
  const at::Tensor both = at::cat({x, more});
  CHECK(largest(all.gram(false)[0] - both.t().matmul(both)) < 1e-9);
  CHECK(all.rows() == 460);
}

TEST_CASE("dead inputs and no rows are no obstacle; threads do not show") {
  const c10::InferenceMode inference;
  at::Tensor x = random_doubles({500, 230}, 9);
  x.narrow(1, 40, 60).zero_();
  x.select(1, 3).copy_(x.select(1, 5));
  const at::Tensor y = random_doubles({500, 9}, 10);
  const NormalEquations::Solution one = in_portions(x, y, 1, 1).solve(0, true);
  CHECK(one.weight.isfinite().all().item<bool>());
  const NormalEquations::Solution four = in_portions(x, y, 1, 4).solve(0, true);
  CHECK(one.weight.equal(four.weight));
  CHECK(one.shift.equal(four.shift));
  const at::Tensor none = at::zeros({10, 4}, x.options());
  CHECK(largest(in_portions(none, y.narrow(0, 0, 10), 1).solve(1e-3, true).weight) == 0);
  CHECK(largest(NormalEquations(1, 4, 2).solve(1e-3, true).weight) == 0);
}

}  // namespace lathe
