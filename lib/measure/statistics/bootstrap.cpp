#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "statistics/random.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

// Pairs i <= j of the sorted values whose sum is at most `limit`.
size_t pairs_up_to(std::span<const double> sorted, double limit) {
  size_t pairs = 0;
  size_t high = sorted.size();
  for (size_t low = 0; low < sorted.size(); ++low) {
    while (high > low && sorted[low] + sorted[high - 1] > limit) --high;
    if (high <= low) break;
    pairs += high - low;
  }
  return pairs;
}

// The `rank`-th smallest sum of a pair, by bisection: no list of n^2 / 2 sums is made.
double sum_of_rank(std::span<const double> sorted, size_t rank) {
  double low = 2 * sorted.front();
  double high = 2 * sorted.back();
  const double close = (high - low) * 1e-12;
  while (high - low > close) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (pairs_up_to(sorted, middle) >= rank ? high : low) = middle;
  }
  return high;
}

double location_of_sorted(std::span<const double> sorted) {
  const size_t pairs = sorted.size() * (sorted.size() + 1) / 2;
  const double upper = sum_of_rank(sorted, pairs / 2 + 1);
  if (pairs % 2 == 1) return upper / 2;
  return (sum_of_rank(sorted, pairs / 2) + upper) / 4;
}

// Counts how often each place is drawn, which leaves the drawn values sorted.
void draw_sorted(std::span<const double> sorted, BenchRandom& random, std::vector<size_t>& counts,
                 std::vector<double>& drawn) {
  counts.assign(sorted.size(), 0);
  for (size_t i = 0; i < sorted.size(); ++i) ++counts[random.below(sorted.size())];
  drawn.clear();
  for (size_t i = 0; i < sorted.size(); ++i) drawn.insert(drawn.end(), counts[i], sorted[i]);
}

std::vector<std::vector<double>> sorted_groups(const std::vector<std::vector<double>>& groups) {
  std::vector<std::vector<double>> kept;
  for (const std::vector<double>& group : groups) {
    if (group.empty()) continue;
    kept.push_back(group);
    std::sort(kept.back().begin(), kept.back().end());
  }
  if (kept.empty()) throw InternalError("bootstrap of no values");
  return kept;
}

}  // namespace

double hodges_lehmann(std::span<const double> values) {
  if (values.empty()) throw InternalError("Hodges-Lehmann estimate of no values");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return location_of_sorted(sorted);
}

double grouped_location(const std::vector<std::vector<double>>& groups) {
  std::vector<double> locations;
  for (const auto& group : sorted_groups(groups)) locations.push_back(location_of_sorted(group));
  return median(locations);
}

Interval bootstrap_interval(const std::vector<std::vector<double>>& groups,
                            const BootstrapOptions& options) {
  const std::vector<std::vector<double>> sorted = sorted_groups(groups);
  BenchRandom random(options.seed);
  std::vector<double> estimates;
  estimates.reserve(options.resamples);
  std::vector<double> locations(sorted.size());
  std::vector<size_t> counts;
  std::vector<double> drawn;
  for (size_t i = 0; i < options.resamples; ++i) {
    for (double& location : locations) {
      draw_sorted(sorted[random.below(sorted.size())], random, counts, drawn);
      location = location_of_sorted(drawn);
    }
    estimates.push_back(median(locations));
  }
  std::sort(estimates.begin(), estimates.end());
  const double tail = (1 - options.confidence) / 2;
  return {quantile(estimates, tail), quantile(estimates, 1 - tail)};
}

}  // namespace lathe
