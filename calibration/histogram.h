// A histogram whose content does not depend on the order in which values arrive.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lathe {

/// Counts values in bins of width 2^exponent aligned at zero, kSideBins to each side. When a value
/// does not fit, neighbouring bins are merged and the width doubles. Because the widths are powers
/// of two, every bin boundary of a coarse histogram is one of a finer one: the final state depends
/// only on the set of values, so threads may be merged in any order with the same result.
class Histogram {
 public:
  static constexpr int kSideBins = 2048;

  /// Adds finite values; NaN and infinities are counted apart.
  void add(std::span<const float> values);
  void merge(const Histogram& other);

  int64_t count() const { return count_; }
  int64_t non_finite() const { return non_finite_; }
  /// Exact extremes of the finite values; 0 when there are none.
  float min() const { return count_ > 0 ? min_ : 0; }
  float max() const { return count_ > 0 ? max_ : 0; }

  double bin_width() const;
  /// Bin i covers [(i - kSideBins) * width, (i + 1 - kSideBins) * width).
  double bin_start(int bin) const { return (bin - kSideBins) * bin_width(); }
  double bin_center(int bin) const { return (bin - kSideBins + 0.5) * bin_width(); }
  /// 2 * kSideBins counts; empty before the first value.
  const std::vector<int64_t>& bins() const { return bins_; }
  int exponent() const { return exponent_; }

  /// From saved parts. Throws Error (exit 3) when they do not fit together.
  static Histogram restore(int exponent, std::vector<int64_t> bins, float min, float max,
                           int64_t non_finite);

 private:
  void widen_to(int exponent);

  int exponent_ = 0;
  int64_t count_ = 0;
  int64_t non_finite_ = 0;
  float min_ = 0;
  float max_ = 0;
  std::vector<int64_t> bins_;
};

}  // namespace lathe
