#include <algorithm>
#include <cmath>

#include "ir/error.h"
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

}  // namespace

double hodges_lehmann(std::span<const double> values) {
  if (values.empty()) throw InternalError("Hodges-Lehmann estimate of no values");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return location_of_sorted(sorted);
}

}  // namespace lathe
