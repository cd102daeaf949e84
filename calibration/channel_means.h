// Means per channel whose sum does not depend on the order in which samples arrive.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lathe {

/// Adds up per-sample channel means in fixed point (2^-40), where addition is exact and therefore
/// associative: threads may be merged in any order with the same result.
class ChannelMeans {
 public:
  /// `values` laid out as [outer, channels, inner]; one sample (any number of items). Not finite
  /// values and magnitudes above 2^40 are left out.
  void add(std::span<const float> values, int64_t channels, int64_t inner);
  void merge(const ChannelMeans& other);
  /// Mean over the samples' means; empty before the first sample.
  std::vector<double> means() const;

 private:
  __extension__ using Fixed = __int128;
  std::vector<Fixed> sums_;
  int64_t samples_ = 0;
};

}  // namespace lathe
