#include "layers/normal_equations.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "ir/error.h"
#include "layers/run_tasks.h"
#include "run/threads.h"

namespace lathe {
namespace {

// Columns of a block: fixed, so that the arithmetic is the same for any number of threads.
constexpr int64_t kBlock = 96;
constexpr int kRaises = 12;
// Rows are kept while there are as many unknowns for each.
constexpr int64_t kUnknownsARow = 4;

at::TensorOptions doubles() { return at::TensorOptions().dtype(at::kDouble); }

// The upper triangle of blocks, mirrored.
at::Tensor full_matrix(const at::Tensor& gram) {
  const at::Tensor upper = gram.triu();
  return upper + upper.triu(1).transpose(-2, -1);
}

}  // namespace

NormalEquations::NormalEquations(int64_t groups, int64_t inputs, int64_t outputs)
    : groups_(groups), inputs_(inputs), outputs_(outputs) {
  const c10::InferenceMode inference;
  if (groups == 1) {
    x_ = at::zeros({0, inputs}, doubles());
    r_ = at::zeros({0, outputs}, doubles());
  } else {
    gram_ = at::zeros({groups, inputs, inputs}, doubles());
    cross_ = at::zeros({groups, inputs, outputs}, doubles());
  }
  x_sum_ = at::zeros({groups, inputs}, doubles());
  r_sum_ = at::zeros({groups, outputs}, doubles());
}

void NormalEquations::add(const at::Tensor& x, const at::Tensor& r, int threads) {
  const c10::InferenceMode inference;
  const SerialBlas serial;
  const SingleThreaded single;
  square_ += r.square().sum().item<double>();
  x_sum_ += x.sum(0).view({groups_, inputs_});
  r_sum_ += r.sum(0).view({groups_, outputs_});
  rows_ += x.size(0);
  if (x_.defined() && rows_ * kUnknownsARow <= inputs_) {
    x_ = at::cat({x_, x});
    r_ = at::cat({r_, r});
    return;
  }
  if (!gram_.defined()) {
    gram_ = at::zeros({groups_, inputs_, inputs_}, doubles());
    cross_ = at::zeros({groups_, inputs_, outputs_}, doubles());
    if (x_.defined() && x_.size(0) > 0) sum_up(x_, r_, threads);
    x_ = r_ = at::Tensor();
  }
  sum_up(x, r, threads);
}

void NormalEquations::sum_up(const at::Tensor& x, const at::Tensor& r, int threads) {
  std::vector<std::function<void()>> tasks;
  for (int64_t g = 0; g < groups_; ++g) {
    for (int64_t begin = 0; begin < inputs_; begin += kBlock)
      tasks.emplace_back([&, g, begin] {
        const int64_t length = std::min(kBlock, inputs_ - begin);
        const at::Tensor xg = x.narrow(1, g * inputs_, inputs_);
        gram_.select(0, g)
            .narrow(0, 0, begin + length)
            .narrow(1, begin, length)
            .addmm_(xg.narrow(1, 0, begin + length).t(), xg.narrow(1, begin, length));
      });
    tasks.emplace_back([&, g] {
      const at::Tensor xg = x.narrow(1, g * inputs_, inputs_);
      const at::Tensor rg = r.narrow(1, g * outputs_, outputs_);
      cross_.select(0, g).addmm_(xg.t(), rg);
    });
  }
  run_tasks(tasks, threads);
}

void NormalEquations::subtract(const Solution& known) {
  const SerialBlas serial;
  const SingleThreaded single;
  const c10::InferenceMode inference;
  square_ = squared_error(known);
  if (x_.defined()) {
    r_ = r_ - at::matmul(x_, known.weight.select(0, 0).t()) - known.shift;
    r_sum_ = r_.sum(0, true);
    return;
  }
  const at::Tensor turned = known.weight.transpose(1, 2);
  cross_ -= at::matmul(full_matrix(gram_), turned) + x_sum_.unsqueeze(2) * known.shift.unsqueeze(1);
  r_sum_ -=
      at::matmul(x_sum_.unsqueeze(1), turned).squeeze(1) + static_cast<double>(rows_) * known.shift;
}

NormalEquations::Solution NormalEquations::solve(double ridge, bool intercept) const {
  const SerialBlas serial;
  const SingleThreaded single;
  const c10::InferenceMode inference;
  if (x_.defined() && rows_ > 0) return solve_rows(ridge, intercept);
  Solution solution{at::zeros({groups_, outputs_, inputs_}, doubles()),
                    at::zeros({groups_, outputs_}, doubles())};
  if (rows_ == 0) return solution;
  const auto count = static_cast<double>(rows_);
  at::Tensor matrix = full_matrix(gram_);
  at::Tensor right = cross_.clone();
  const at::Tensor x_mean = x_sum_ / count;
  const at::Tensor r_mean = r_sum_ / count;
  if (intercept) {
    matrix -= x_mean.unsqueeze(2) * x_sum_.unsqueeze(1);
    right -= x_sum_.unsqueeze(2) * r_mean.unsqueeze(1);
  }
  const at::Tensor diagonal = matrix.diagonal(0, -2, -1);
  // A group of constant inputs has nothing to solve; any ridge will do there.
  const at::Tensor scale = diagonal.mean(-1, true);
  const at::Tensor unit = at::where(scale > 0, scale, at::ones_like(scale));
  const at::Tensor plain = diagonal.clone();
  for (int raise = 0;; ++raise) {
    diagonal.copy_(plain + ridge * unit);
    const auto [factor, info] = at::linalg_cholesky_ex(matrix);
    if (info.abs().max().item<int64_t>() == 0) {
      solution.weight = at::cholesky_solve(right, factor).transpose(1, 2).contiguous();
      break;
    }
    if (raise == kRaises)
      throw InternalError("normal equations are not positive definite with any ridge");
    ridge = std::max(10 * ridge, 1e-10);
  }
  if (intercept)
    solution.shift = r_mean - at::matmul(solution.weight, x_mean.unsqueeze(2)).squeeze(2);
  return solution;
}

// D = ((X X^T + ridge)^-1 R)^T X is the D of the normal equations.
NormalEquations::Solution NormalEquations::solve_rows(double ridge, bool intercept) const {
  const at::Tensor x = kept_rows(intercept);
  const at::Tensor r = intercept ? r_ - r_.mean(0, true) : r_;
  const double mean = x.square().sum().item<double>() / static_cast<double>(inputs_);
  const double unit = mean > 0 ? mean : 1;
  const at::Tensor matrix = at::matmul(x, x.t());
  const at::Tensor diagonal = matrix.diagonal();
  const at::Tensor plain = diagonal.clone();
  for (int raise = 0; raise <= kRaises; ++raise, ridge = std::max(10 * ridge, 1e-10)) {
    diagonal.copy_(plain + ridge * unit);
    const auto [factor, info] = at::linalg_cholesky_ex(matrix);
    if (info.item<int64_t>() != 0) continue;
    Solution solution{at::matmul(at::cholesky_solve(r, factor).t(), x).unsqueeze(0),
                      at::zeros({1, outputs_}, doubles())};
    if (intercept)
      solution.shift =
          r_.mean(0, true) - at::matmul(x_.mean(0, true), solution.weight.select(0, 0).t());
    return solution;
  }
  throw InternalError("a matrix of rows is not positive definite with any ridge");
}

at::Tensor NormalEquations::kept_rows(bool intercept) const {
  const c10::InferenceMode inference;
  return x_.defined() && intercept && rows_ > 0 ? x_ - x_.mean(0, true) : x_;
}

at::Tensor NormalEquations::gram_diagonal(bool intercept) const {
  const c10::InferenceMode inference;
  if (x_.defined()) return kept_rows(intercept).square().sum(0, true);
  const at::Tensor diagonal = gram_.diagonal(0, -2, -1);
  if (rows_ == 0 || !intercept) return diagonal.clone();
  return diagonal - x_sum_.square() / static_cast<double>(rows_);
}

at::Tensor NormalEquations::gram(bool intercept) const {
  const c10::InferenceMode inference;
  if (x_.defined()) {
    const SerialBlas serial;
    const SingleThreaded single;
    const at::Tensor x = kept_rows(intercept);
    return at::matmul(x.t(), x).unsqueeze(0);
  }
  const at::Tensor matrix = full_matrix(gram_);
  if (rows_ == 0 || !intercept) return matrix;
  return matrix - (x_sum_ / static_cast<double>(rows_)).unsqueeze(2) * x_sum_.unsqueeze(1);
}

at::Tensor NormalEquations::input_mean() const {
  const c10::InferenceMode inference;
  return rows_ == 0 ? at::zeros_like(x_sum_) : x_sum_ / static_cast<double>(rows_);
}

double NormalEquations::squared_error(const Solution& solution) const {
  const SerialBlas serial;
  const SingleThreaded single;
  const c10::InferenceMode inference;
  const at::Tensor& weight = solution.weight;
  const at::Tensor& shift = solution.shift;
  if (x_.defined())
    return (r_ - at::matmul(x_, weight.select(0, 0).t()) - shift).square().sum().item<double>();
  const at::Tensor moved = at::matmul(weight, full_matrix(gram_));
  double error = square_ - 2 * (weight * cross_.transpose(1, 2)).sum().item<double>() +
                 (moved * weight).sum().item<double>();
  error += 2 * (shift * at::matmul(weight, x_sum_.unsqueeze(2)).squeeze(2)).sum().item<double>();
  error -= 2 * (shift * r_sum_).sum().item<double>();
  error += static_cast<double>(rows_) * shift.square().sum().item<double>();
  return error < 0 ? 0.0 : error;  // NaN stays
}

}  // namespace lathe
