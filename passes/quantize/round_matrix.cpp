#include "quantize/round_matrix.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "ir/error.h"
#include "layers/run_tasks.h"
#include "run/threads.h"

namespace lathe {
namespace {

// Inputs whose errors are carried on together; outputs and groups of one task. Fixed, so that the
// arithmetic is the same for any number of threads.
constexpr int64_t kBlock = 64;
constexpr int64_t kOutputs = 64;
constexpr int64_t kGroups = 32;
constexpr int kRaises = 12;

at::Tensor damped(const at::Tensor& gram, double damping) {
  at::Tensor matrix = gram.clone();
  const at::Tensor diagonal = matrix.diagonal(0, -2, -1);
  const at::Tensor mean = diagonal.mean(-1, true);
  diagonal.add_(damping * at::where(mean > 0, mean, at::ones_like(mean)));
  return matrix;
}

// U with U^T U = G^-1: row i holds how an error in input i is best spread over those behind it.
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

at::Tensor on_grid(const at::Tensor& weights, const at::Tensor& scale, double qmax) {
  return (weights / scale).round_().clamp_(-qmax, qmax).mul_(scale);
}

// A part of the weights: groups and outputs that nothing else depends on.
struct Part {
  at::Tensor weights;
  at::Tensor scale;
  at::Tensor matrix;  // of these groups
  at::Tensor result;
};

void compensate(const Part& part, double qmax) {
  at::Tensor left = part.weights.clone();
  const int64_t inputs = left.size(2);
  for (int64_t begin = 0; begin < inputs; begin += kBlock) {
    const int64_t end = std::min(inputs, begin + kBlock);
    const at::Tensor errors = at::empty({left.size(0), left.size(1), end - begin}, left.options());
    for (int64_t i = begin; i < end; ++i) {
      const at::Tensor weight = left.select(2, i);
      const at::Tensor rounded = on_grid(weight, part.scale.select(2, i), qmax);
      part.result.select(2, i).copy_(rounded);
      const at::Tensor row = part.matrix.select(1, i);
      const at::Tensor error = (weight - rounded) / row.select(1, i).unsqueeze(1);
      errors.select(2, i - begin).copy_(error);
      if (i + 1 < end)
        left.narrow(2, i + 1, end - i - 1)
            .sub_(error.unsqueeze(2) * row.narrow(1, i + 1, end - i - 1).unsqueeze(1));
    }
    if (end < inputs)
      left.narrow(2, end, inputs - end)
          .sub_(at::matmul(errors, part.matrix.narrow(1, begin, end - begin)
                                       .narrow(2, end, inputs - end)));
  }
}

void descend(const Part& part, const at::Tensor& rounded, double qmax, int sweeps) {
  part.result.copy_(rounded);
  const at::Tensor diagonal = part.matrix.diagonal(0, -2, -1);
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    at::Tensor pull = at::matmul(part.weights - part.result, part.matrix);
    bool moved = false;
    for (int64_t i = 0; i < part.weights.size(2); ++i) {
      const at::Tensor curve = diagonal.select(1, i).unsqueeze(1);
      const at::Tensor now = part.result.select(2, i);
      // An input that is always zero moves nothing.
      const at::Tensor wanted = now + at::where(curve > 0, pull.select(2, i) / curve, 0.0);
      const at::Tensor change = on_grid(wanted, part.scale.select(2, i), qmax) - now;
      if (change.abs().max().item<double>() == 0) continue;
      moved = true;
      now.add_(change);
      pull.sub_(change.unsqueeze(2) * part.matrix.select(1, i).unsqueeze(1));
    }
    if (!moved) return;
  }
}

// Calls `work` for parts of the weights on several threads; `matrix` is of the groups.
at::Tensor by_parts(const at::Tensor& weights, const WeightGrid& grid, const at::Tensor& matrix,
                    int threads, const std::function<void(const Part&, int64_t, int64_t)>& work) {
  const at::Tensor result = at::empty_like(weights);
  const at::Tensor scale = grid.scale.expand_as(weights);
  std::vector<std::function<void()>> tasks;
  for (int64_t g = 0; g < weights.size(0); g += kGroups)
    for (int64_t o = 0; o < weights.size(1); o += kOutputs)
      tasks.emplace_back([&, g, o] {
        const auto cut = [&](const at::Tensor& all) {
          const at::Tensor groups = all.narrow(0, g, std::min(kGroups, all.size(0) - g));
          return groups.narrow(1, o, std::min(kOutputs, groups.size(1) - o));
        };
        const at::Tensor square = matrix.narrow(0, g, std::min(kGroups, matrix.size(0) - g));
        work({cut(weights), cut(scale), square, cut(result)}, g, o);
      });
  const SerialBlas serial;
  run_tasks(tasks, threads);
  return result;
}

}  // namespace

at::Tensor round_to_nearest(const at::Tensor& weights, const WeightGrid& grid) {
  return on_grid(weights, grid.scale, grid.qmax);
}

at::Tensor round_compensated(const at::Tensor& weights, const at::Tensor& gram,
                             const WeightGrid& grid, double damping, int threads) {
  const c10::InferenceMode inference;
  at::Tensor factor;
  {
    const SerialBlas serial;
    const SingleThreaded single;
    factor = inverse_factor(gram, damping);
  }
  return by_parts(weights, grid, factor, threads,
                  [&](const Part& part, int64_t, int64_t) { compensate(part, grid.qmax); });
}

at::Tensor descend_rounding(const at::Tensor& weights, const at::Tensor& rounded,
                            const at::Tensor& gram, const WeightGrid& grid, int sweeps,
                            int threads) {
  const c10::InferenceMode inference;
  return by_parts(weights, grid, gram, threads, [&](const Part& part, int64_t g, int64_t o) {
    descend(part,
            rounded.narrow(0, g, part.weights.size(0)).narrow(1, o, part.weights.size(1)),
            grid.qmax, sweeps);
  });
}

at::Tensor rounding_errors(const at::Tensor& weights, const at::Tensor& rounded,
                           const at::Tensor& gram) {
  const c10::InferenceMode inference;
  const SerialBlas serial;
  const SingleThreaded single;
  const at::Tensor change = rounded - weights;
  return (at::matmul(change, gram) * change).sum(-1);
}

}  // namespace lathe
