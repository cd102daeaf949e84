#include "quantize/weights/learn_rounding.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ir/seeded_random.h"
#include "layers/run_tasks.h"
#include "run/threads.h"

namespace lathe {
namespace {

// The paper's: stretched sigmoid and exponents of the rounding term.
constexpr double kZeta = 1.1;
constexpr double kGamma = -0.1;
constexpr double kFirstBeta = 20;
constexpr double kLastBeta = 2;
constexpr double kWarmUp = 0.2;
constexpr double kStep = 5e-2;  // of Adam
// Weight of the rounding term of an output against its squared error, which is made relative to the
// error of `start`.
constexpr double kRounding = 0.02;

// Where the clamp lets gradients through; outputs beyond the bound that should be there are right.
struct Clamped {
  at::Tensor value;
  at::Tensor open;
};

Clamped clamp(const at::Tensor& value, const Range& bounds) {
  const at::Tensor clamped = value.clamp(bounds.min, bounds.max);
  return {clamped, clamped.eq(value)};
}

// One task: [g, rows, inputs], [g, rows, outputs], weights [g, outputs, inputs].
struct Problem {
  at::Tensor x;
  at::Tensor y;
  at::Tensor weights;
  at::Tensor start;
  at::Tensor scale;
  at::Tensor bias;  // [g, 1, outputs]
};

at::Tensor learn(const Problem& problem, const WeightGrid& grid,
                 const LearnRoundingOptions& options, uint64_t stream) {
  const at::Tensor below = (problem.weights / problem.scale).floor_().clamp_(grid.qmin, grid.qmax);
  // Where rounding starts, moved inside so that gradients flow.
  const at::Tensor first = (problem.start / problem.scale - below).clamp_(0, 1);
  const at::Tensor fraction = (problem.weights / problem.scale - below).clamp_(0, 1);
  const at::Tensor blend = (0.5 * first + 0.5 * fraction).clamp_(0.01, 0.99);
  const at::Tensor inner = (blend - kGamma) / (kZeta - kGamma);
  at::Tensor v = -(1 / inner - 1).log_();
  at::Tensor mean = at::zeros_like(v);
  at::Tensor square = at::zeros_like(v);
  const at::Tensor y = problem.y.clamp(options.bounds.min, options.bounds.max);
  const auto error_of = [&](const at::Tensor& q, const at::Tensor& x, const at::Tensor& wanted) {
    return (clamp(at::matmul(x, q.transpose(1, 2)) + problem.bias, options.bounds).value - wanted)
        .square_()
        .mean(1);
  };
  // Errors relative to where it starts: [g, outputs].
  const at::Tensor unit = error_of(problem.start, problem.x, y).add_(1e-12);
  const int64_t rows = problem.x.size(1);
  const int64_t batch = std::min(options.batch, rows);
  SeededRandom random(options.seed, stream);
  for (int step = 0; step < options.iterations; ++step) {
    if (options.check) options.check();
    // A stretch of rows: samples are mixed by their order, and a copy is saved.
    const auto begin =
        static_cast<int64_t>(random.next() % static_cast<uint64_t>(rows - batch + 1));
    const at::Tensor x = problem.x.narrow(1, begin, batch);
    const at::Tensor sigmoid = v.sigmoid();
    const at::Tensor stretched = sigmoid * (kZeta - kGamma) + kGamma;
    const at::Tensor h = stretched.clamp(0, 1);
    const at::Tensor q = (below + h).clamp_(grid.qmin, grid.qmax) * problem.scale;
    const Clamped out = clamp(at::matmul(x, q.transpose(1, 2)) + problem.bias, options.bounds);
    const at::Tensor error = (out.value - y.narrow(1, begin, batch)) * out.open;
    at::Tensor gradient = at::matmul(error.transpose(1, 2), x)
                              .mul_(2.0 / static_cast<double>(batch))
                              .div_(unit.unsqueeze(2))
                              .mul_(problem.scale);
    const double progress = static_cast<double>(step) / options.iterations;
    if (progress >= kWarmUp) {
      const double share = (progress - kWarmUp) / (1 - kWarmUp);
      const double beta =
          kLastBeta + 0.5 * (kFirstBeta - kLastBeta) * (1 + std::cos(share * 3.14159265358979));
      const at::Tensor centred = 2 * h - 1;
      gradient.sub_(kRounding * 2 * beta * centred.abs().pow_(beta - 1).mul_(centred.sign()));
    }
    const at::Tensor inside = stretched.gt(0).logical_and_(stretched.lt(1));
    gradient.mul_(sigmoid * (1 - sigmoid) * (kZeta - kGamma)).mul_(inside);
    mean.mul_(0.9).add_(gradient, 0.1);
    square.mul_(0.999).addcmul_(gradient, gradient, 0.001);
    const double late_mean = 1 - std::pow(0.9, step + 1);
    const double late_square = 1 - std::pow(0.999, step + 1);
    v.sub_(kStep * (mean / late_mean) / ((square / late_square).sqrt_() + 1e-8));
  }
  const at::Tensor up = v.gt(0).to(at::kFloat);
  const at::Tensor learned = (below + up).clamp_(grid.qmin, grid.qmax) * problem.scale;
  // Output by output the better of start and end.
  const at::Tensor better = error_of(learned, problem.x, y).lt(unit);
  return at::where(better.unsqueeze(2), learned, problem.start);
}

}  // namespace

at::Tensor learn_rounding(const at::Tensor& weights, const at::Tensor& start,
                          const at::Tensor& bias, const LayerRows& rows, const WeightGrid& grid,
                          const LearnRoundingOptions& options) {
  const c10::InferenceMode inference;
  const int64_t groups = weights.size(0);
  const int64_t outputs = weights.size(1);
  const int64_t inputs = weights.size(2);
  const at::Tensor result = at::empty_like(weights);
  const at::Tensor scale = grid.scale.expand_as(weights);
  std::vector<std::function<void()>> tasks;
  for (int64_t g = 0; g < groups; g += kTaskGroups)
    for (int64_t o = 0; o < outputs; o += kTaskOutputs)
      tasks.emplace_back([&, g, o] {
        const int64_t gs = std::min(kTaskGroups, groups - g);
        const int64_t os = std::min(kTaskOutputs, outputs - o);
        const auto cut = [&](const at::Tensor& all) {
          return all.narrow(0, g, gs).narrow(1, o, os);
        };
        const int64_t count = rows.inputs.size(0);
        const at::Tensor x = rows.inputs.narrow(1, g * inputs, gs * inputs)
                                 .view({count, gs, inputs})
                                 .transpose(0, 1);
        const at::Tensor y = rows.wanted.view({count, groups, outputs})
                                 .narrow(1, g, gs)
                                 .narrow(2, o, os)
                                 .transpose(0, 1)
                                 .contiguous();
        const auto floats = [](const at::Tensor& all) { return all.to(at::kFloat).contiguous(); };
        const Problem problem{x,
                              y,
                              floats(cut(weights)),
                              floats(cut(start)),
                              floats(cut(scale)),
                              floats(cut(bias.unsqueeze(2))).view({gs, 1, os})};
        const at::Tensor learned =
            learn(problem, grid, options, static_cast<uint64_t>(g * outputs + o));
        // Back onto the exact grid.
        cut(result).copy_((learned.to(at::kDouble) / cut(scale)).round_().mul_(cut(scale)));
      });
  const SerialBlas serial;
  run_tasks(tasks, options.threads);
  return result;
}

at::Tensor clamped_errors(const at::Tensor& rounded, const at::Tensor& bias, const LayerRows& rows,
                          const Range& bounds) {
  const c10::InferenceMode inference;
  const SerialBlas serial;
  const SingleThreaded single;
  const int64_t groups = rounded.size(0);
  const int64_t count = rows.inputs.size(0);
  const at::Tensor x = rows.inputs.view({count, groups, rounded.size(2)}).transpose(0, 1);
  const at::Tensor y = rows.wanted.view({count, groups, rounded.size(1)}).transpose(0, 1);
  const at::Tensor out =
      at::matmul(x, rounded.to(at::kFloat).transpose(1, 2)) + bias.to(at::kFloat).unsqueeze(1);
  return (out.clamp(bounds.min, bounds.max) - y.clamp(bounds.min, bounds.max))
      .to(at::kDouble)
      .square()
      .sum(1);
}

}  // namespace lathe
