#include "calibration/histogram.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

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

// Side by side for the vector units, which compare but do not take NaN for an extreme.
constexpr size_t kLanes = 16;

Extremes extremes_of(std::span<const float> values) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::array<float, kLanes> min;
  std::array<float, kLanes> max;
  std::array<int32_t, kLanes> finite{};
  min.fill(kInfinity);
  max.fill(-kInfinity);
  Extremes found;
  const auto take = [&](const float* from, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const float value = from[i];
      const bool is_finite = std::fabs(value) <= kLargest;  // false for NaN
      const float low = is_finite ? value : kInfinity;
      const float high = is_finite ? value : -kInfinity;
      finite[i] += is_finite ? 1 : 0;
      min[i] = low < min[i] ? low : min[i];
      max[i] = high > max[i] ? high : max[i];
    }
  };
  constexpr size_t kMost = kLanes << 30;  // that a lane can count
  for (size_t begin = 0; begin < values.size(); begin += kMost) {
    const auto part = values.subspan(begin, std::min(kMost, values.size() - begin));
    size_t i = 0;
    for (; i + kLanes <= part.size(); i += kLanes) take(part.data() + i, kLanes);
    take(part.data() + i, part.size() - i);
    for (int32_t& count : finite) found.finite += std::exchange(count, 0);
  }
  found.min = *std::min_element(min.begin(), min.end());
  found.max = *std::max_element(max.begin(), max.end());
  return found;
}

constexpr size_t kChunk = 1024;

// Bins of finite values, none of them beyond the bins. Without comparisons of floats, which would
// keep the compiler from the vector units.
void place(std::span<const float> values, float inverse, std::array<int32_t, kChunk>& places) {
  for (size_t i = 0; i < values.size(); ++i) {
    const float scaled = values[i] * inverse;
    const auto whole = static_cast<int32_t>(scaled);
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    const bool exact =
        std::bit_cast<uint32_t>(static_cast<float>(whole)) == std::bit_cast<uint32_t>(scaled);
    // Rounded down; a tiny negative value belongs below zero even where its product is zero.
    const uint32_t below =
        (bits >> 31) & static_cast<uint32_t>(!exact) & static_cast<uint32_t>((bits << 1) != 0);
    places[i] = whole - static_cast<int32_t>(below) + Histogram::kSideBins;
  }
}

// Counts many places in four copies: equal values, such as a Relu's zeros, would wait for each
// other in one.
class BinCounts {
 public:
  BinCounts(std::vector<int64_t>& bins, size_t expected)
      : bins_(bins), counts_(expected < kMany ? 0 : 4 * bins.size()) {}
  BinCounts(const BinCounts&) = delete;
  BinCounts& operator=(const BinCounts&) = delete;
  ~BinCounts() { flush(); }

  void add(std::span<const int32_t> places) {
    if (counts_.empty()) {
      for (const int32_t place : places) ++bins_[static_cast<size_t>(place)];
      return;
    }
    if (added_ + places.size() > kMost) flush();
    added_ += places.size();
    const size_t bins = bins_.size();
    uint32_t* const counts = counts_.data();
    size_t i = 0;
    for (; i + 4 <= places.size(); i += 4) {
      ++counts[places[i]];
      ++counts[bins + static_cast<size_t>(places[i + 1])];
      ++counts[2 * bins + static_cast<size_t>(places[i + 2])];
      ++counts[3 * bins + static_cast<size_t>(places[i + 3])];
    }
    for (; i < places.size(); ++i) ++counts[places[i]];
  }

 private:
  static constexpr size_t kMany = 1 << 16;  // pay for the copies
  static constexpr size_t kMost = size_t{1} << 31;

  void flush() {
    if (counts_.empty()) return;
    for (size_t copy = 0; copy < 4; ++copy)
      for (size_t i = 0; i < bins_.size(); ++i) bins_[i] += counts_[copy * bins_.size() + i];
    std::fill(counts_.begin(), counts_.end(), 0U);
    added_ = 0;
  }

  std::vector<int64_t>& bins_;
  std::vector<uint32_t> counts_;
  size_t added_ = 0;
};

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

  // Exact but where it underflows to zero: a product with a power of two does not round.
  const auto inverse = static_cast<float>(std::ldexp(1.0, -exponent_));
  BinCounts counts(bins_, values.size());
  std::array<int32_t, kChunk> places;
  std::array<float, kChunk> finite;
  const bool all_finite = found.finite == static_cast<int64_t>(values.size());
  for (size_t begin = 0; begin < values.size(); begin += kChunk) {
    std::span<const float> chunk = values.subspan(begin, std::min(kChunk, values.size() - begin));
    if (!all_finite)
      chunk = {finite.data(), std::copy_if(chunk.begin(), chunk.end(), finite.data(),
                                           [](float value) { return std::isfinite(value); })};
    place(chunk, inverse, places);
    counts.add({places.data(), chunk.size()});
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
