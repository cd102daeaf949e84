// Means per channel whose sum does not depend on the order in which samples arrive.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "calibration/fixed_sum.h"

namespace lathe {

/// Adds up per-sample channel means exactly: threads may be merged in any order with the same
/// result.
class ChannelMeans {
 public:
  /// `values` laid out as [outer, channels, inner]; one sample (any number of items). Not finite
  /// values and magnitudes above 2^40 are left out.
  void add(std::span<const float> values, int64_t channels, int64_t inner);
  void merge(const ChannelMeans& other);
  /// Mean over the samples' means; empty before the first sample.
  std::vector<double> means() const;

 private:
  std::vector<FixedSum> sums_;
  int64_t samples_ = 0;
};

}  // namespace lathe
