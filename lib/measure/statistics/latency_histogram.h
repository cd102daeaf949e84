// All samples of a measurement as few numbers: what a report shows of their distribution.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lathe {

/// Samples from `low` up to, and without, `high`.
struct LatencyBin {
  double low = 0;
  double high = 0;
  size_t count = 0;
};

struct LatencyHistogram {
  /// Edges are 2^(i / per_octave): the same for every measurement of this resolution.
  double per_octave = 0;
  std::vector<LatencyBin> bins;  // ascending, empty ones left out
  size_t below_one = 0;          // samples below 1 (nanosecond), which have no bin
};

/// 256 bins an octave (0.27 % wide), or half as many, and so on, until at most `max_bins` (> 0)
/// hold samples. Every finite sample is counted once.
LatencyHistogram latency_histogram(std::span<const double> samples, size_t max_bins = 100);

/// Values to plot: `every`-th ones of each series, so that at most `max_points` (> 0) stay in all.
/// Each series keeps its first value.
struct Thinned {
  size_t every = 1;
  std::vector<std::vector<double>> series;
};
Thinned thinned(const std::vector<std::vector<double>>& series, size_t max_points);

}  // namespace lathe
