// What single channels of a value hold, in sums that do not depend on the order of samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "calibration/fixed_sum.h"

namespace lathe {

/// One entry per channel, all of the same size.
struct ChannelStatistics {
  std::vector<double> min;
  std::vector<double> max;
  std::vector<double> mean;
  std::vector<double> mean_square;
  /// Of the samples' largest values: what a sample that was not seen may reach.
  std::vector<double> peak_mean;
  std::vector<double> peak_mean_square;

  size_t channels() const { return min.size(); }
  /// Of the values themselves, not of samples' means; never negative.
  double variance(size_t channel) const;
  /// Standard deviation of the samples' largest values.
  double peak_deviation(size_t channel) const;
  bool operator==(const ChannelStatistics&) const = default;
};

/// Adds up samples' channel means and mean squares exactly: threads may be merged in any order with
/// the same result.
class ChannelSums {
 public:
  /// `values` laid out as [outer, channels, inner]; one sample (any number of items). A channel
  /// whose sample holds NaN, infinity or magnitudes above 2^34 is left out for that sample.
  /// Throws Error (exit 3) when the number of channels differs between samples.
  void add(std::span<const float> values, int64_t channels, int64_t inner);
  void merge(const ChannelSums& other);
  /// Means over the samples' means; a channel without a sample is all zeros.
  ChannelStatistics statistics() const;

 private:
  struct Channel {
    float min = 0;
    float max = 0;
    FixedSum sum;
    FixedSum squares;
    FixedSum peaks;
    FixedSum peak_squares;
    int64_t samples = 0;
  };
  std::vector<Channel> channels_;
};

}  // namespace lathe
