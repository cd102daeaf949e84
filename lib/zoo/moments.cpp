#include "zoo/moments.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/error.h"

namespace lathe {
namespace {

// (1 + x/n)^n: within 2 % for |x| < 12, and the same everywhere.
double steady_exp(double x) {
  double power = 1 + std::max(x, -2000.0) / 4096;
  for (int i = 0; i < 12; ++i) power *= power;
  return power;
}

double sigmoid(double x) { return x < 0 ? 1 - sigmoid(-x) : 1 / (1 + steady_exp(-x)); }

double apply(Activation f, double x) {
  switch (f) {
    case Activation::kRelu: return std::max(x, 0.0);
    case Activation::kRelu6: return std::clamp(x, 0.0, 6.0);
    case Activation::kHardSigmoid: return std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Activation::kHardSwish: return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Activation::kSigmoid: return sigmoid(x);
    case Activation::kSilu: return x * sigmoid(x);
    case Activation::kTanh: return 2 * sigmoid(2 * x) - 1;
    case Activation::kGelu: return x * sigmoid(1.702 * x);
  }
  throw InternalError("unknown activation");
}

constexpr int kPoints = 33;  // -4 .. 4 standard deviations

std::array<double, kPoints> normal_weights() {
  std::array<double, kPoints> weights{};
  double total = 0;
  for (int i = 0; i < kPoints; ++i) {
    const double z = (i - kPoints / 2) * 0.25;
    total += weights[i] = steady_exp(-z * z / 2);
  }
  for (double& weight : weights) weight /= total;
  return weights;
}

}  // namespace

double Moments::mean_variance() const {
  double sum = 0;
  for (const double each : variance) sum += each;
  return sum / static_cast<double>(variance.size());
}

Moments same_moments(int64_t channels, double mean, double variance) {
  const size_t count = static_cast<size_t>(channels);
  return {std::vector<double>(count, mean), std::vector<double>(count, variance)};
}

Moments after_activation(const Moments& x, Activation f) {
  const std::array<double, kPoints> weights = normal_weights();
  Moments y = x;
  for (size_t c = 0; c < x.channels(); ++c) {
    const double deviation = std::sqrt(x.variance[c]);
    double first = 0;
    double second = 0;
    for (int i = 0; i < kPoints; ++i) {
      const double value = apply(f, x.mean[c] + deviation * (i - kPoints / 2) * 0.25);
      first += weights[i] * value;
      second += weights[i] * value * value;
    }
    y.mean[c] = first;
    y.variance[c] = std::max(second - first * first, 1e-6);
  }
  return y;
}

Moments after_max_pool(const Moments& x, int64_t kernel) {
  // The largest of 4, 9 and 25 independent normal numbers behind a ReLU (which has mean 0.40 and
  // deviation 0.58); 25 somewhat less, as such pools follow each other.
  const double rise = kernel <= 2 ? 1.1 : kernel == 3 ? 1.85 : 1.7;
  const double left = kernel <= 2 ? 1.3 : kernel == 3 ? 1.05 : 0.9;
  Moments y = x;
  for (size_t c = 0; c < x.channels(); ++c) {
    y.mean[c] += rise * std::sqrt(x.variance[c]);
    y.variance[c] *= left;
  }
  return y;
}

Moments after_mean(const Moments& x, int64_t area) {
  Moments y = x;
  for (double& variance : y.variance) variance /= std::sqrt(static_cast<double>(area));
  return y;
}

Moments sum_moments(const Moments& a, const Moments& b) {
  Moments y = a;
  for (size_t c = 0; c < a.channels(); ++c) {
    y.mean[c] += b.mean[c];
    y.variance[c] += b.variance[c];
  }
  return y;
}

Moments product_moments(const Moments& a, const Moments& b) {
  Moments y = a;
  for (size_t c = 0; c < a.channels(); ++c) {
    const double squares =
        (a.variance[c] + a.mean[c] * a.mean[c]) * (b.variance[c] + b.mean[c] * b.mean[c]);
    y.mean[c] = a.mean[c] * b.mean[c];
    y.variance[c] = squares - y.mean[c] * y.mean[c];
  }
  return y;
}

}  // namespace lathe
