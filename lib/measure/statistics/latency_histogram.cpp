#include "statistics/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr int kFinest = 256;

std::map<int, size_t> halved(const std::map<int, size_t>& counts) {
  std::map<int, size_t> out;
  for (const auto& [bin, count] : counts) out[bin / 2] += count;
  return out;
}

}  // namespace

LatencyHistogram latency_histogram(std::span<const double> samples, size_t max_bins) {
  if (max_bins == 0) throw InternalError("a histogram without bins");
  LatencyHistogram histogram;
  histogram.per_octave = kFinest;
  std::map<int, size_t> counts;
  for (const double sample : samples) {
    if (!std::isfinite(sample)) continue;
    if (sample < 1)
      ++histogram.below_one;
    else
      ++counts[static_cast<int>(std::floor(std::log2(sample) * kFinest))];
  }
  while (counts.size() > max_bins) {
    counts = halved(counts);
    histogram.per_octave /= 2;
  }
  const auto edge = [&](int bin) { return std::exp2(bin / histogram.per_octave); };
  for (const auto& [bin, count] : counts)
    histogram.bins.push_back({edge(bin), edge(bin + 1), count});
  return histogram;
}

Thinned thinned(const std::vector<std::vector<double>>& series, size_t max_points) {
  if (max_points == 0) throw InternalError("a plot without points");
  const auto kept = [&series](size_t every) {
    size_t count = 0;
    for (const auto& one : series) count += (one.size() + every - 1) / every;
    return count;
  };
  size_t longest = 1;
  for (const auto& one : series) longest = std::max(longest, one.size());
  Thinned out;
  while (kept(out.every) > max_points && out.every < longest) ++out.every;
  for (const auto& one : series) {
    std::vector<double>& few = out.series.emplace_back();
    for (size_t i = 0; i < one.size(); i += out.every) few.push_back(one[i]);
  }
  return out;
}

}  // namespace lathe
