#include "quantize/weights/round_layer.h"

#include <c10/core/InferenceMode.h>

#include <functional>
#include <limits>
#include <map>
#include <vector>

#include "layers/float_elements.h"
#include "layers/run_tasks.h"
#include "quantize/weights/clamped_pull.h"
#include "run/threads.h"

namespace lathe {
namespace {

// Rows that a shift is held back by, so that outputs that are hardly ever inside the activation's
// bounds do not move far.
constexpr double kShyRows = 10;
constexpr int kShiftSteps = 3;
// What a candidate must gain that is far more free than the others, to be more than good luck on a
// few held-out rows.
constexpr double kClearGain = 0.98;

// float32, as the constants will hold them.
at::Tensor as_stored(const at::Tensor& values) { return values.to(at::kFloat).to(at::kDouble); }

class LayerRounding {
 public:
  LayerRounding(LayerSamples& samples, const LayerWeights& old, const WeightGrid& grid,
                const RoundLayerOptions& options)
      : samples_(samples), old_(old), grid_(grid), options_(options) {}

  RoundedLayer run() {
    const SerialBlas serial;
    const double wanted = judge()
                              .wanted.clamp(options_.bounds.min, options_.bounds.max)
                              .to(at::kDouble)
                              .square()
                              .sum()
                              .item<double>();
    unit_ = wanted > 0 ? wanted : 1;
    Trial best;
    const auto consider = [&](const Trial& trial, double least_gain) {
      if (!best.weight.defined() || trial.error < least_gain * best.error) best = trial;
    };
    for (const Trial& trial : simple_trials()) consider(trial, 1);
    const WeightGrid clipped = options_.clip ? clipped_weights() : grid_;
    if (options_.clip && !at::equal(clipped.scale, grid_.scale))
      consider(tried({best.candidate.method, best.candidate.ridge, &clipped}, options_.threads),
               kClearGain);
    if (options_.iterations > 0)
      consider(tried({RoundingMethod::kLearned, best.candidate.ridge, best.candidate.grid},
                     options_.threads),
               kClearGain);
    return {best.weight,
            best.candidate.grid->scale,
            best.shift,
            best.candidate.grid == &clipped,
            best.candidate.method,
            best.bias,
            error_of(round_to_nearest(old_.weight, grid_), at::zeros_like(old_.bias)),
            best.error};
  }

 private:
  struct Candidate {
    RoundingMethod method = RoundingMethod::kNearest;
    double ridge = 0;
    const WeightGrid* grid = nullptr;
  };

  // A candidate with the shift that suits it best.
  struct Trial {
    Candidate candidate;
    at::Tensor weight;
    at::Tensor shift;
    BiasShift bias = BiasShift::kNone;
    double error = std::numeric_limits<double>::infinity();
  };

  const LayerRows& judge() const {
    return samples_.held.inputs.defined() ? samples_.held : samples_.rows;
  }

  double error_of(const at::Tensor& weight, const at::Tensor& shift) const {
    return clamped_errors(as_stored(weight), old_.bias + shift, judge(), options_.bounds)
               .sum()
               .item<double>() /
           unit_;
  }

  Trial tried(const Candidate& candidate, int threads) const {
    Trial trial{candidate, round(candidate, threads), at::zeros_like(old_.bias)};
    for (const BiasShift bias : shifts()) {
      const at::Tensor shift = shift_for(trial.weight, bias);
      const double error = error_of(trial.weight, shift);
      if (!(error < trial.error)) continue;
      trial.shift = shift;
      trial.bias = bias;
      trial.error = error;
    }
    return trial;
  }

  // Those that do not depend on each other, side by side: to the nearest, then by ridge.
  std::vector<Trial> simple_trials() {
    std::vector<Trial> trials(1 + options_.ridges.size());
    std::vector<std::function<void()>> first{
        [&] { prepare(); },
        [&] { trials[0] = tried({RoundingMethod::kNearest, 0, &grid_}, 1); }};
    std::vector<std::function<void()>> then;
    for (const double ridge : options_.ridges) {
      at::Tensor& target = targets_[ridge] = old_.weight;
      if (ridge > 0)
        first.emplace_back([this, &target, ridge] {
          target = old_.weight + samples_.equations.solve(ridge, old_.may_shift).weight;
        });
    }
    for (size_t i = 0; i < options_.ridges.size(); ++i)
      then.emplace_back([&, i] {
        const double ridge = options_.ridges[i];
        trials[i + 1] = tried(
            {ridge > 0 ? RoundingMethod::kFitted : RoundingMethod::kCompensated, ridge, &grid_}, 1);
      });
    run_tasks(first, options_.threads);
    run_tasks(then, options_.threads);
    return trials;
  }

  // What all compensated candidates share.
  void prepare() {
    const NormalEquations& equations = samples_.equations;
    importance_ = equations.gram_diagonal(old_.may_shift);
    const at::Tensor rows = equations.kept_rows(old_.may_shift);
    factor_ = rows.defined() && rows.size(0) > 0
                  ? compensation_factor_of_rows(rows, options_.damping)
                  : compensation_factor(equations.gram(old_.may_shift), options_.damping);
  }

  WeightGrid clipped_weights() const { return clipped_grid(old_.weight, importance_, grid_); }

  std::vector<BiasShift> shifts() const {
    if (!old_.may_shift) return {BiasShift::kNone};
    return {BiasShift::kOwn, BiasShift::kOutputs};
  }

  // Exact zeros are masks of pruning and stay.
  at::Tensor round(const Candidate& candidate, int threads) const {
    return at::where(old_.weight.eq(0), at::zeros_like(old_.weight), rounded(candidate, threads));
  }

  at::Tensor rounded(const Candidate& candidate, int threads) const {
    if (candidate.method == RoundingMethod::kNearest)
      return round_to_nearest(old_.weight, *candidate.grid);
    const at::Tensor& target = targets_.at(candidate.ridge);
    const at::Tensor rounded = round_compensated(target, factor_, *candidate.grid, threads);
    if (candidate.method != RoundingMethod::kLearned) return rounded;
    LearnRoundingOptions learning;
    learning.iterations = options_.iterations;
    learning.bounds = options_.bounds;
    learning.seed = options_.seed;
    learning.threads = threads;
    learning.check = options_.check;
    const at::Tensor shift = shift_for(rounded, BiasShift::kOwn);
    return learn_rounding(target, rounded, old_.bias + shift, samples_.rows, *candidate.grid,
                          learning);
  }

  at::Tensor shift_for(const at::Tensor& weight, BiasShift bias) const {
    if (bias == BiasShift::kNone || !old_.may_shift) return at::zeros_like(old_.bias);
    const at::Tensor change = as_stored(weight) - old_.weight;
    const at::Tensor own =
        -at::matmul(change, samples_.equations.input_mean().unsqueeze(2)).squeeze(2);
    return bias == BiasShift::kOwn ? own : shift_outputs(weight, own);
  }

  // Newton's steps on ||clamp(x Q^T + b + d) - clamp(y)||^2 from d = `shift`.
  at::Tensor shift_outputs(const at::Tensor& weight, const at::Tensor& shift) const {
    const SerialBlas serial;
    const SingleThreaded single;
    const int64_t groups = weight.size(0);
    const int64_t rows = samples_.rows.inputs.size(0);
    const at::Tensor inputs =
        samples_.rows.inputs.view({rows, groups, weight.size(2)}).transpose(0, 1);
    const at::Tensor products = at::matmul(inputs, weight.to(at::kFloat).transpose(1, 2))
                                    .transpose(0, 1)
                                    .reshape({rows, groups * weight.size(1)})
                                    .contiguous();
    const at::Tensor wanted = samples_.rows.wanted.contiguous();
    at::Tensor moved = shift.contiguous().clone();
    for (int step = 0; step < kShiftSteps; ++step) {
      const at::Tensor bias = (old_.bias + moved).to(at::kFloat).contiguous();
      const ClampedPull sums = clamped_pull(
          float_elements(products), float_elements(wanted), float_elements(bias),
          {static_cast<float>(options_.bounds.min), static_cast<float>(options_.bounds.max)});
      auto* const channels = moved.data_ptr<double>();
      for (size_t i = 0; i < sums.pull.size(); ++i)
        channels[i] += sums.pull[i] / (sums.open[i] + kShyRows);
    }
    return moved;
  }

  LayerSamples& samples_;
  const LayerWeights& old_;
  const WeightGrid& grid_;
  const RoundLayerOptions& options_;
  double unit_ = 1;
  at::Tensor importance_;  // of the inputs
  at::Tensor factor_;
  std::map<double, at::Tensor> targets_;  // what is rounded, by ridge
};

}  // namespace

RoundedLayer round_layer(LayerSamples& samples, const LayerWeights& old, const WeightGrid& grid,
                         const RoundLayerOptions& options) {
  const c10::InferenceMode inference;
  return LayerRounding(samples, old, grid, options).run();
}

}  // namespace lathe
