#include "quantize/equalize/equalization_noise.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

// Reductions in eight lanes: the compiler may not change the order of a plain loop's sum, and a
// vector of lanes gives the same sum on every machine.
constexpr size_t kLanes = 8;

template <class Number, class Combine>
Number reduce(const std::vector<Number>& numbers, Combine combine) {
  Number lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= numbers.size(); i += kLanes)
    for (size_t k = 0; k < kLanes; ++k) lanes[k] = combine(lanes[k], numbers[i + k]);
  for (size_t k = 0; i < numbers.size(); ++i, ++k) lanes[k] = combine(lanes[k], numbers[i]);
  Number all = 0;
  for (const Number lane : lanes) all = combine(all, lane);
  return all;
}

// Largest of non-negative numbers, smoothed; they become the derivatives of its logarithm by theirs
// (unless the maximum is taken itself).
template <class Number>
double take_largest(std::vector<Number>& numbers, Sharpness sharpness) {
  const Number top = reduce(numbers, [](Number a, Number b) { return a > b ? a : b; });
  if (sharpness.log2_order == 0 || !(top > 0)) return static_cast<double>(top);
  const Number inverse = 1 / top;
  for (Number& number : numbers) number *= inverse;
  for (int i = 0; i < sharpness.log2_order; ++i)
    for (Number& number : numbers) number *= number;
  const Number sum = reduce(numbers, [](Number a, Number b) { return a + b; });
  const Number share = 1 / sum;
  for (Number& number : numbers) number *= share;
  return static_cast<double>(top) *
         std::exp(std::log(static_cast<double>(sum)) / std::ldexp(1.0, sharpness.log2_order));
}

double activation_noise(const ActivationNoise& term, const std::vector<double>& scales,
                        Sharpness sharpness, std::vector<double>* gradient) {
  const size_t count = term.high.size();
  std::vector<double> high(count);
  std::vector<double> low(count);
  std::vector<double> carried(count);
  double sum = 0;
  for (size_t c = 0; c < count; ++c) {
    const double scale = std::exp(scales[term.first + c]);
    high[c] = term.high[c] * scale;
    low[c] = term.low[c] * scale;
    carried[c] = term.weight[c] / (scale * scale);
    sum += carried[c];
  }
  const double top = take_largest(high, sharpness);
  const double bottom = take_largest(low, sharpness);
  const double range = top + bottom;
  if (gradient != nullptr)
    for (size_t c = 0; c < count; ++c)
      (*gradient)[term.first + c] +=
          2 * range * sum * (top * high[c] + bottom * low[c]) - 2 * range * range * carried[c];
  return range * range * sum;
}

class WeightTerm {
 public:
  WeightTerm(const WeightNoise& term, const std::vector<double>& scales, Sharpness sharpness)
      : term_(term),
        sharpness_(sharpness),
        columns_(static_cast<size_t>(term.shape.inputs_a_group())),
        rows_(static_cast<size_t>(term.shape.outputs_a_group())),
        inverse_(static_cast<size_t>(term.shape.inputs), 1.0f),
        signal_(term.variance),
        group_signal_(static_cast<size_t>(term.shape.groups), 0.0),
        output_(static_cast<size_t>(term.shape.outputs), 1.0),
        row_(columns_) {
    for (size_t c = 0; c < signal_.size(); ++c) {
      if (term.first_input != kNotScaled) {
        const double scale = std::exp(scales[term.first_input + c]);
        inverse_[c] = static_cast<float>(1 / scale);
        signal_[c] *= scale * scale;
      }
      group_signal_[c / columns_] += signal_[c];
    }
    if (term.first_output != kNotScaled)
      for (size_t o = 0; o < output_.size(); ++o)
        output_[o] = std::exp(scales[term.first_output + o]);
  }

  double noise(std::vector<double>* gradient) {
    return term_.shared_step ? shared(gradient) : apart(gradient);
  }

 private:
  // Largest |weight| of output o, its own scale left out; row_ becomes the inputs' shares.
  double row_step(size_t o) {
    const float* largest = term_.largest.data() + o * columns_;
    const float* inverse = inverse_.data() + o / rows_ * columns_;
    for (size_t j = 0; j < columns_; ++j) row_[j] = largest[j] * inverse[j];
    return take_largest(row_, sharpness_);
  }

  void add_signal_gradient(const std::vector<double>& by_group, std::vector<double>& gradient) {
    for (size_t c = 0; c < signal_.size(); ++c)
      gradient[term_.first_input + c] += 2 * signal_[c] * by_group[c / columns_];
  }

  double apart(std::vector<double>* gradient) {
    const bool into_input = gradient != nullptr && term_.first_input != kNotScaled;
    std::vector<double> by_group(group_signal_.size(), 0.0);
    double total = 0;
    for (size_t o = 0; o < output_.size(); ++o) {
      const double step = row_step(o);
      const double weighted = term_.weight[o] * step * step;
      const double noise = weighted * group_signal_[o / rows_];
      total += noise;
      by_group[o / rows_] += weighted;
      if (!into_input || noise == 0) continue;
      double* at = gradient->data() + term_.first_input + o / rows_ * columns_;
      for (size_t j = 0; j < columns_; ++j) at[j] -= 2 * noise * row_[j];
    }
    if (into_input) add_signal_gradient(by_group, *gradient);
    return total;
  }

  double shared(std::vector<double>* gradient) {
    const size_t outputs = output_.size();
    std::vector<double> steps(outputs);
    std::vector<double> carried(outputs);
    std::vector<double> by_group(group_signal_.size(), 0.0);
    double sum = 0;
    for (size_t o = 0; o < outputs; ++o) {
      steps[o] = row_step(o) * output_[o];
      const double weight = term_.weight[o] / (output_[o] * output_[o]);
      by_group[o / rows_] += weight;
      carried[o] = weight * group_signal_[o / rows_];
      sum += carried[o];
    }
    const double step = take_largest(steps, sharpness_);  // steps are shares from here on
    const double total = step * step * sum;
    if (gradient == nullptr) return total;
    if (term_.first_output != kNotScaled)
      for (size_t o = 0; o < outputs; ++o)
        (*gradient)[term_.first_output + o] += 2 * total * steps[o] - 2 * step * step * carried[o];
    if (term_.first_input == kNotScaled) return total;
    constexpr double kNegligible = 1e-9;
    for (size_t o = 0; o < outputs; ++o) {
      if (steps[o] < kNegligible) continue;
      row_step(o);
      double* at = gradient->data() + term_.first_input + o / rows_ * columns_;
      for (size_t j = 0; j < columns_; ++j) at[j] -= 2 * total * steps[o] * row_[j];
    }
    for (double& weight : by_group) weight *= step * step;
    add_signal_gradient(by_group, *gradient);
    return total;
  }

  const WeightNoise& term_;
  Sharpness sharpness_;
  size_t columns_;
  size_t rows_;
  std::vector<float> inverse_;
  std::vector<double> signal_;        // variance after scaling
  std::vector<double> group_signal_;  // its sum in a group
  std::vector<double> output_;
  std::vector<float> row_;
};

bool overlaps(size_t first, size_t count, size_t other, size_t other_count) {
  return other != kNotScaled && other < first + count && first < other + other_count;
}

bool is_scaled(const std::vector<double>& scales, size_t first, size_t count) {
  if (first == kNotScaled) return false;
  const auto begin = scales.begin() + static_cast<std::ptrdiff_t>(first);
  return std::any_of(begin, begin + static_cast<std::ptrdiff_t>(count),
                     [](double scale) { return scale != 0; });
}

// Whether a layer's weights still lie on the grid that they came with. Left out of account by the
// smooth problem, of which it would make a discontinuous one.
bool keeps_grid(const WeightNoise& term, const std::vector<double>& scales) {
  return term.on_grid && !is_scaled(scales, term.first_input, term.variance.size()) &&
         !(term.shared_step && is_scaled(scales, term.first_output, term.weight.size()));
}

double weight_noise(const WeightNoise& term, const std::vector<double>& scales, Sharpness sharpness,
                    std::vector<double>* gradient) {
  if (sharpness.log2_order == 0 && keeps_grid(term, scales)) return 0;
  return WeightTerm(term, scales, sharpness).noise(gradient);
}

}  // namespace

double total_noise(const NoiseModel& model, const std::vector<double>& scales, Sharpness sharpness,
                   std::vector<double>* gradient) {
  double total = 0;
  for (const ActivationNoise& term : model.activations)
    total += activation_noise(term, scales, sharpness, gradient);
  for (const WeightNoise& term : model.weights)
    total += weight_noise(term, scales, sharpness, gradient);
  return total;
}

double noise_of(const NoiseModel& model, const std::vector<double>& scales, size_t first,
                size_t count) {
  double total = 0;
  for (const ActivationNoise& term : model.activations)
    if (overlaps(first, count, term.first, term.high.size()))
      total += activation_noise(term, scales, {}, nullptr);
  for (const WeightNoise& term : model.weights)
    if (overlaps(first, count, term.first_input, term.variance.size()) ||
        overlaps(first, count, term.first_output, term.weight.size()))
      total += weight_noise(term, scales, {}, nullptr);
  return total;
}

}  // namespace lathe
