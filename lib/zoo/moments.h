// What a builder expects of an activation: mean and variance of each channel. Weights and
// normalization statistics are chosen by it, so that signals keep their size through any depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lathe {

/// One entry per channel in both.
struct Moments {
  std::vector<double> mean;
  std::vector<double> variance;

  size_t channels() const { return mean.size(); }
  double mean_variance() const;
};

Moments same_moments(int64_t channels, double mean, double variance);

enum class Activation : uint8_t {
  kRelu,
  kRelu6,
  kHardSigmoid,
  kHardSwish,
  kSigmoid,
  kSilu,
  kTanh,
  kGelu
};

/// Of f(x) for normal x. By arithmetic without a mathematical library: equal on every machine.
Moments after_activation(const Moments& x, Activation f);
/// Of the maximum over a window of 2x2, 3x3 or 5x5 elements that a rectifier has passed.
Moments after_max_pool(const Moments& x, int64_t kernel);
/// Of the mean over `area` related elements.
Moments after_mean(const Moments& x, int64_t area);
/// Of a sum and a product of independent signals.
Moments sum_moments(const Moments& a, const Moments& b);
Moments product_moments(const Moments& a, const Moments& b);

}  // namespace lathe
