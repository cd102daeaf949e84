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
  gram_ = at::zeros({groups, inputs, inputs}, doubles());
  cross_ = at::zeros({groups, inputs, outputs}, doubles());
  x_sum_ = at::zeros({groups, inputs}, doubles());
  r_sum_ = at::zeros({groups, outputs}, doubles());
}

void NormalEquations::add(const at::Tensor& x, const at::Tensor& r, int threads) {
  const SerialBlas serial;
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
      x_sum_.select(0, g).add_(xg.sum(0));
      r_sum_.select(0, g).add_(rg.sum(0));
    });
  }
  tasks.emplace_back([&] { square_ += r.square().sum().item<double>(); });
  run_tasks(tasks, threads);
  rows_ += x.size(0);
}

void NormalEquations::subtract(const Solution& known) {
  const SerialBlas serial;
  const SingleThreaded single;
  const c10::InferenceMode inference;
  square_ = squared_error(known);
  const at::Tensor turned = known.weight.transpose(1, 2);
  cross_ -= at::matmul(full_matrix(gram_), turned) + x_sum_.unsqueeze(2) * known.shift.unsqueeze(1);
  r_sum_ -=
      at::matmul(x_sum_.unsqueeze(1), turned).squeeze(1) + static_cast<double>(rows_) * known.shift;
}

NormalEquations::Solution NormalEquations::solve(double ridge, bool intercept) const {
  const SerialBlas serial;
  const SingleThreaded single;
  const c10::InferenceMode inference;
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

at::Tensor NormalEquations::gram(bool intercept) const {
  const c10::InferenceMode inference;
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
  const at::Tensor moved = at::matmul(weight, full_matrix(gram_));
  double error = square_ - 2 * (weight * cross_.transpose(1, 2)).sum().item<double>() +
                 (moved * weight).sum().item<double>();
  error += 2 * (shift * at::matmul(weight, x_sum_.unsqueeze(2)).squeeze(2)).sum().item<double>();
  error -= 2 * (shift * r_sum_).sum().item<double>();
  error += static_cast<double>(rows_) * shift.square().sum().item<double>();
  return error < 0 ? 0.0 : error;  // NaN stays
}

}  // namespace lathe
