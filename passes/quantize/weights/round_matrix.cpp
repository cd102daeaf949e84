#include "quantize/weights/round_matrix.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "ir/error.h"
#include "layers/run_tasks.h"
#include "quantize/weights/compensate_outputs.h"
#include "run/threads.h"

namespace lathe {
namespace {

constexpr int kRaises = 12;
constexpr int kClips = 30;

at::Tensor damped(const at::Tensor& gram, double damping) {
  at::Tensor matrix = gram.clone();
  const at::Tensor diagonal = matrix.diagonal(0, -2, -1);
  const at::Tensor mean = diagonal.mean(-1, true);
  diagonal.add_(damping * at::where(mean > 0, mean, at::ones_like(mean)));
  return matrix;
}

at::Tensor inverse_factor(const at::Tensor& gram, double damping) {
  for (int raise = 0; raise < kRaises; ++raise, damping = std::max(10 * damping, 1e-10)) {
    const auto [lower, info] = at::linalg_cholesky_ex(damped(gram, damping));
    if (info.abs().max().item<int64_t>() != 0) continue;
    const at::Tensor inverse = at::cholesky_inverse(lower);
    const auto [factor, failed] = at::linalg_cholesky_ex(inverse);
    if (failed.abs().max().item<int64_t>() == 0) return factor.transpose(-2, -1).contiguous();
  }
  throw InternalError("a Gram matrix is not positive definite with any damping");
}

at::Tensor on_grid(const at::Tensor& weights, const at::Tensor& scale, const WeightGrid& grid) {
  return (weights / scale).round_().clamp_(grid.qmin, grid.qmax).mul_(scale);
}

// A part of the weights: groups and outputs that nothing else depends on.
struct Part {
  at::Tensor weights;
  at::Tensor scale;
  at::Tensor matrix;  // of these groups
  at::Tensor result;
};

void compensate(const Part& part, const WeightGrid& grid) {
  const int64_t outputs = part.weights.size(1);
  const int64_t inputs = part.weights.size(2);
  const at::Tensor matrix = part.matrix.contiguous();
  // Of lanes that hold no output: zeros, on any grid.
  const at::Tensor lanes = at::zeros({inputs, kCompensatedOutputs}, matrix.options());
  const at::Tensor scales = at::ones_like(lanes);
  for (int64_t g = 0; g < part.weights.size(0); ++g)
    for (int64_t begin = 0; begin < outputs; begin += kCompensatedOutputs) {
      const int64_t count = std::min(kCompensatedOutputs, outputs - begin);
      const auto turned = [&](const at::Tensor& all) {
        return all.select(0, g).narrow(0, begin, count).transpose(0, 1);
      };
      lanes.narrow(1, 0, count).copy_(turned(part.weights));
      scales.narrow(1, 0, count).copy_(turned(part.scale));
      compensate_outputs(matrix.select(0, g).data_ptr<double>(), inputs,
                         scales.data_ptr<double>(), grid.qmin, grid.qmax,
                         lanes.data_ptr<double>());
      turned(part.result).copy_(lanes.narrow(1, 0, count));
      if (count < kCompensatedOutputs) lanes.zero_();
    }
}

}  // namespace

at::Tensor round_to_nearest(const at::Tensor& weights, const WeightGrid& grid) {
  return on_grid(weights, grid.scale, grid);
}

at::Tensor compensation_factor(const at::Tensor& gram, double damping) {
  const c10::InferenceMode inference;
  const SerialBlas serial;
  const SingleThreaded single;
  return inverse_factor(gram, damping);
}

at::Tensor compensation_factor_of_rows(const at::Tensor& x, double damping) {
  const c10::InferenceMode inference;
  const SerialBlas serial;
  const SingleThreaded single;
  const int64_t rows = x.size(0);
  const int64_t inputs = x.size(1);
  const double mean = x.square().sum().item<double>() / static_cast<double>(inputs);
  const double added = std::max(damping, 1e-10) * (mean > 0 ? mean : 1);
  const at::Tensor columns = x.t().contiguous();
  const at::Tensor inverse = at::eye(rows, x.options()).div_(added);
  const at::Tensor factor = at::zeros({1, inputs, inputs}, x.options());
  for (int64_t i = inputs - 1; i >= 0; --i) {
    const at::Tensor column = columns.select(0, i);
    const at::Tensor step = at::mv(inverse, column);
    const double grown = 1 + at::dot(column, step).item<double>();
    inverse.addr_(step, step, 1, -1 / grown);
    const double diagonal = std::sqrt(1 / (added * grown));
    const at::Tensor row = factor.select(0, 0).select(0, i);
    row.select(0, i).fill_(diagonal);
    if (i + 1 < inputs)
      row.narrow(0, i + 1, inputs - i - 1)
          .copy_(at::mv(columns.narrow(0, i + 1, inputs - i - 1), step)
                     .mul_(-1 / (added * grown * diagonal)));
  }
  return factor;
}

at::Tensor round_compensated(const at::Tensor& weights, const at::Tensor& factor,
                             const WeightGrid& grid, int threads) {
  const c10::InferenceMode inference;
  const at::Tensor result = at::empty_like(weights);
  const at::Tensor scale = grid.scale.expand_as(weights);
  std::vector<std::function<void()>> tasks;
  for (int64_t g = 0; g < weights.size(0); g += kTaskGroups)
    for (int64_t o = 0; o < weights.size(1); o += kTaskOutputs)
      tasks.emplace_back([&, g, o] {
        const auto cut = [&](const at::Tensor& all) {
          const at::Tensor groups = all.narrow(0, g, std::min(kTaskGroups, all.size(0) - g));
          return groups.narrow(1, o, std::min(kTaskOutputs, groups.size(1) - o));
        };
        const at::Tensor square = factor.narrow(0, g, std::min(kTaskGroups, factor.size(0) - g));
        compensate({cut(weights), cut(scale), square, cut(result)}, grid);
      });
  const SerialBlas serial;
  run_tasks(tasks, threads);
  return result;
}

WeightGrid clipped_grid(const at::Tensor& weights, const at::Tensor& importance,
                        const WeightGrid& grid) {
  const c10::InferenceMode inference;
  const SingleThreaded single;
  const at::Tensor weight_of_input = importance.unsqueeze(1);
  const auto errors_of = [&](const at::Tensor& scale) {
    return (on_grid(weights, scale, grid) - weights)
        .square_()
        .mul_(weight_of_input)
        .sum_to_size(grid.scale.sizes());
  };
  WeightGrid best = grid;
  best.scale = grid.scale.clone();
  at::Tensor least = errors_of(grid.scale);
  // The largest weight may lose eight steps.
  const double lowest = std::max(0.5, 1 - 8 / grid.qmax);
  for (int i = 1; i <= kClips; ++i) {
    const at::Tensor clipped = grid.scale * (1 - (1 - lowest) * i / kClips);
    const at::Tensor scale = clipped.to(at::kFloat).to(at::kDouble);  // as it will be stored
    const at::Tensor errors = errors_of(scale);
    const at::Tensor better = errors.lt(least);
    least = at::where(better, errors, least);
    best.scale = at::where(better, scale, best.scale);
  }
  return best;
}

}  // namespace lathe
