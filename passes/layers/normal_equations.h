// Least squares over rows that arrive in portions: min ||R - X D^T - d||^2 + ridge ||D||^2.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace lathe {

/// `groups` independent problems (the groups of a Conv) of `inputs` unknowns for each of `outputs`
/// right-hand sides. All arithmetic in double; which thread computes what does not show. Of one
/// group the rows themselves are kept while they are few beside the unknowns (the last layers of
/// classifiers), and solved as the dual problem: min over A of ||R - X X^T A||, D = A^T X.
class NormalEquations {
 public:
  NormalEquations(int64_t groups, int64_t inputs, int64_t outputs);
  // Copies would share the matrices.
  NormalEquations(const NormalEquations&) = delete;
  NormalEquations& operator=(const NormalEquations&) = delete;
  NormalEquations(NormalEquations&&) = default;

  /// x: [rows, groups * inputs], r: [rows, groups * outputs], both double.
  void add(const at::Tensor& x, const at::Tensor& r, int threads);

  /// A layer's weights, or a change of them.
  struct Solution {
    at::Tensor weight;  // D: [groups, outputs, inputs]
    at::Tensor shift;   // d: [groups, outputs], zeros without intercept
  };
  /// From now on R is what the weights `known` leave of it.
  void subtract(const Solution& known);
  /// `ridge` is relative to the mean diagonal of the (centred, with intercept) matrix; it is raised
  /// until the matrix is positive definite. Zeros when there are no rows.
  Solution solve(double ridge, bool intercept) const;

  /// X^T X by group: [groups, inputs, inputs]; with intercept of X less its mean.
  at::Tensor gram(bool intercept) const;
  /// Its diagonal alone: [groups, inputs].
  at::Tensor gram_diagonal(bool intercept) const;
  /// X, with intercept less its mean, [rows, inputs], where the rows were kept; else undefined.
  at::Tensor kept_rows(bool intercept) const;
  /// Mean of X: [groups, inputs]; zeros without rows.
  at::Tensor input_mean() const;

  /// ||R - X D^T - d||^2; never negative.
  double squared_error(const Solution& solution) const;
  /// ||R||^2.
  double squared_sum() const { return square_; }
  int64_t rows() const { return rows_; }

 private:
  void sum_up(const at::Tensor& x, const at::Tensor& r, int threads);
  Solution solve_rows(double ridge, bool intercept) const;

  int64_t groups_;
  int64_t inputs_;
  int64_t outputs_;
  int64_t rows_ = 0;
  double square_ = 0;
  at::Tensor x_, r_;  // while there are few; then undefined, and instead:
  at::Tensor gram_;   // [groups, inputs, inputs], upper triangle of blocks
  at::Tensor cross_;  // [groups, inputs, outputs]
  at::Tensor x_sum_;  // [groups, inputs]
  at::Tensor r_sum_;  // [groups, outputs]
};

}  // namespace lathe
