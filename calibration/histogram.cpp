#include "calibration/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/error.h"

namespace lathe {
namespace {

// Below this the width would be denormal; such values all fall into the two middle bins.
constexpr int kSmallestExponent = -100;

// Smallest exponent whose bins reach `max_abs` on both sides.
int exponent_for(float max_abs) {
  // Nothing but zeros fits any width: the finest leaves the choice to the values to come.
  if (max_abs == 0) return kSmallestExponent;
  int exponent = 0;
  // max_abs = f * 2^exponent with f in [0.5, 1), so 2048 bins of 2^(exponent - 11) cover it.
  std::frexp(max_abs, &exponent);
  return std::max(exponent - 11, kSmallestExponent);
}

struct Extremes {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  int64_t finite = 0;
};

Extremes extremes_of(std::span<const float> values) {
  Extremes found;
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (const float value : values) {
    const bool finite = std::fabs(value) <= kLargest;  // false for NaN
    found.finite += finite ? 1 : 0;
    found.min = finite && value < found.min ? value : found.min;
    found.max = finite && value > found.max ? value : found.max;
  }
  return found;
}

}  // namespace

double Histogram::bin_width() const { return std::ldexp(1.0, exponent_); }

void Histogram::widen_to(int exponent) {
  if (bins_.empty()) {
    bins_.assign(2 * kSideBins, 0);
    exponent_ = exponent;
    return;
  }
  if (exponent <= exponent_) return;
  const int shift = std::min(exponent - exponent_, 30);
  std::vector<int64_t> merged(2 * kSideBins, 0);
  for (int bin = 0; bin < 2 * kSideBins; ++bin)
    // An arithmetic shift rounds towards minus infinity, as the bins' alignment needs.
    merged[static_cast<size_t>(((bin - kSideBins) >> shift) + kSideBins)] +=
        bins_[static_cast<size_t>(bin)];
  bins_ = std::move(merged);
  exponent_ = exponent;
}

void Histogram::add(std::span<const float> values) {
  const Extremes found = extremes_of(values);
  non_finite_ += static_cast<int64_t>(values.size()) - found.finite;
  if (found.finite == 0) return;
  min_ = count_ > 0 ? std::min(min_, found.min) : found.min;
  max_ = count_ > 0 ? std::max(max_, found.max) : found.max;
  count_ += found.finite;
  widen_to(exponent_for(std::max(std::fabs(min_), std::fabs(max_))));

  // Exact: a product with a power of two does not round, and in double it cannot underflow (a tiny
  // negative value must reach the bin below zero at every width).
  const double inverse = std::ldexp(1.0, -exponent_);
  int64_t* const bins = bins_.data();
  const auto put = [&](float value) {
    const auto bin = static_cast<int>(std::floor(static_cast<double>(value) * inverse)) + kSideBins;
    ++bins[std::clamp(bin, 0, 2 * kSideBins - 1)];
  };
  if (found.finite == static_cast<int64_t>(values.size())) {
    for (const float value : values) put(value);
  } else {
    for (const float value : values)
      if (std::isfinite(value)) put(value);
  }
}

void Histogram::merge(const Histogram& other) {
  non_finite_ += other.non_finite_;
  if (other.count_ == 0) return;
  min_ = count_ > 0 ? std::min(min_, other.min_) : other.min_;
  max_ = count_ > 0 ? std::max(max_, other.max_) : other.max_;
  count_ += other.count_;
  Histogram coarse = other;
  const int exponent = bins_.empty() ? other.exponent_ : std::max(exponent_, other.exponent_);
  widen_to(exponent);
  coarse.widen_to(exponent);
  for (size_t i = 0; i < bins_.size(); ++i) bins_[i] += coarse.bins_[i];
}

Histogram Histogram::restore(int exponent, std::vector<int64_t> bins, float min, float max,
                             int64_t non_finite) {
  Histogram histogram;
  histogram.exponent_ = exponent;
  for (const int64_t bin : bins)
    if (bin < 0 || __builtin_add_overflow(histogram.count_, bin, &histogram.count_))
      throw bad_input("statistics.bins", "a histogram has a negative or overflowing count");
  const bool fits = bins.size() == 2 * kSideBins || (bins.empty() && histogram.count_ == 0);
  const float max_abs = std::max(std::fabs(min), std::fabs(max));
  const bool spans = histogram.count_ == 0 || exponent == exponent_for(max_abs);
  if (!fits || !spans || !(min <= max) || !std::isfinite(max_abs) || non_finite < 0 ||
      exponent < kSmallestExponent || exponent > 128)
    throw bad_input("statistics.bins", "a saved histogram is inconsistent");
  histogram.bins_ = std::move(bins);
  histogram.min_ = min;
  histogram.max_ = max;
  histogram.non_finite_ = non_finite;
  return histogram;
}

}  // namespace lathe
