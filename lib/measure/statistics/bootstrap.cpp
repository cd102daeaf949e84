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

// Resamples of one group's blocks; the outer level draws from them.
constexpr size_t kInnerResamples = 200;

// What is left after the group's own level, with outliers cut to three deviations, so that one
// preempted block neither hides nor fakes a correlation.
std::vector<double> residuals(const std::vector<double>& group) {
  const double middle = median(group);
  const double cut = 3 * 1.4826 * median_absolute_deviation(group);
  std::vector<double> out(group);
  for (double& v : out) v = cut > 0 ? std::clamp(v - middle, -cut, cut) : v - middle;
  double sum = 0;
  for (const double v : out) sum += v;
  for (double& v : out) v -= sum / static_cast<double>(out.size());
  return out;
}

double lagged_product(const std::vector<std::vector<double>>& groups, size_t lag) {
  double sum = 0;
  for (const auto& g : groups) {
    for (size_t i = lag; i < g.size(); ++i) sum += g[i] * g[i - lag];
  }
  return sum;
}

// The integrated autocorrelation time of the residuals. The mean that was taken out of a short
// series lowers each correlation by about tau / n, which is given back once.
double autocorrelation_time(const std::vector<std::vector<double>>& groups) {
  size_t longest = 0;
  size_t count = 0;
  for (const auto& g : groups) {
    longest = std::max(longest, g.size());
    count += g.size();
  }
  const double power = lagged_product(groups, 0);
  if (power <= 0 || longest < 8) return 1;
  const double mean_length = static_cast<double>(count) / static_cast<double>(groups.size());
  const auto sum_with = [&](double given_back) {
    double time = 1;
    for (size_t lag = 1; lag + 1 < longest / 2; lag += 2) {
      const double pair =
          (lagged_product(groups, lag) + lagged_product(groups, lag + 1)) / power + 2 * given_back;
      if (pair <= 0) break;
      time += 2 * pair;
    }
    return time;
  };
  const double first = sum_with(0);
  // A time of 1.5 is within what independent blocks show; correcting it would only feed noise back.
  if (first < 1.5) return std::max(first, 1.0);
  return std::clamp(sum_with(first / mean_length), first, 2 * first);
}

// Hodges-Lehmann estimates of resampled values, their distance from the estimate stretched.
std::vector<double> resampled_locations(const std::vector<double>& group, double location,
                                        double stretch, BenchRandom& random) {
  std::vector<double> bank(kInnerResamples);
  std::vector<double> drawn(group.size());
  for (double& value : bank) {
    for (double& d : drawn) d = group[random.below(group.size())];
    value = location + stretch * (hodges_lehmann(drawn) - location);
  }
  return bank;
}

double median_in_place(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

double hodges_lehmann(std::span<const double> values) {
  if (values.empty()) throw InternalError("Hodges-Lehmann estimate of no values");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return location_of_sorted(sorted);
}

double pooled_effective_count(const std::vector<std::vector<double>>& groups) {
  std::vector<std::vector<double>> left;
  double count = 0;
  for (const auto& group : groups) {
    if (group.empty()) continue;
    left.push_back(residuals(group));
    count += static_cast<double>(group.size());
  }
  if (left.empty()) throw InternalError("effective count of no values");
  return std::max(1.0, count / autocorrelation_time(left));
}

GroupedEstimate estimate_location(const std::vector<std::vector<double>>& groups,
                                  const BootstrapOptions& options) {
  std::vector<std::vector<double>> kept;
  double count = 0;
  for (const auto& group : groups) {
    if (group.empty()) continue;
    kept.push_back(group);
    count += static_cast<double>(group.size());
  }
  GroupedEstimate result;
  result.effective_n = pooled_effective_count(kept);
  const double stretch = std::sqrt(count / result.effective_n);
  BenchRandom random(options.seed);
  std::vector<double> locations;
  std::vector<std::vector<double>> banks;
  for (const auto& group : kept) {
    locations.push_back(hodges_lehmann(group));
    banks.push_back(resampled_locations(group, locations.back(), stretch, random));
  }
  const size_t n = kept.size();
  result.value = median(locations);
  const bool knows_groups = n >= 3;
  result.degrees = std::max(1.0, (knows_groups ? static_cast<double>(n) : result.effective_n) - 1);
  std::vector<double> estimates(std::max<size_t>(1, options.resamples));
  std::vector<double> drawn(n);
  for (double& estimate : estimates) {
    for (size_t i = 0; i < n; ++i) {
      const std::vector<double>& bank = banks[knows_groups ? random.below(n) : i];
      drawn[i] = bank[random.below(bank.size())];
    }
    estimate = median_in_place(drawn);
  }
  const double correction = std::sqrt((result.degrees + 1) / result.degrees);
  std::sort(estimates.begin(), estimates.end());
  result.error_below = std::max(0.0, result.value - quantile(estimates, 0.0228)) / 2 * correction;
  result.error_above = std::max(0.0, quantile(estimates, 0.9772) - result.value) / 2 * correction;
  return result;
}

Interval estimate_interval(const GroupedEstimate& estimate, double confidence) {
  const double t = student_t_quantile((1 - confidence) / 2, estimate.degrees);
  return {estimate.value - t * estimate.error_below, estimate.value + t * estimate.error_above};
}

double p_above(const GroupedEstimate& estimate, double limit) {
  if (estimate.error_below <= 0) return estimate.value > limit ? 0 : 1;
  return student_t_tail((estimate.value - limit) / estimate.error_below, estimate.degrees);
}

double p_below(const GroupedEstimate& estimate, double limit) {
  if (estimate.error_above <= 0) return estimate.value < limit ? 0 : 1;
  return student_t_tail((limit - estimate.value) / estimate.error_above, estimate.degrees);
}

}  // namespace lathe
