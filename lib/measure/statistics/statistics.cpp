#include "statistics/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

std::vector<double> sorted_copy(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

double median_of_sorted(std::span<const double> sorted) {
  const size_t n = sorted.size();
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

Outliers count_outliers(std::span<const double> sorted, double q1, double q3) {
  Outliers found;
  const double iqr = q3 - q1;
  for (const double value : sorted) {
    const double beyond = std::max(q1 - value, value - q3);
    if (beyond > 3 * iqr) {
      ++found.severe;
    } else if (beyond > 1.5 * iqr) {
      ++found.mild;
    }
  }
  return found;
}

Percentile supported_percentile(std::span<const double> sorted, double p, double effective_n) {
  Percentile result;
  result.p = p;
  const size_t needed = samples_needed(p);
  if (sorted.size() < needed) {
    result.reason =
        "needs " + std::to_string(needed) + " samples, has " + std::to_string(sorted.size());
    return result;
  }
  result.value = quantile(sorted, p);
  result.ci95 = quantile_interval(sorted, p, effective_n);
  if (!result.ci95) result.reason = "neighbouring samples are too alike for an interval";
  return result;
}

std::optional<double> drift_of(std::span<const double> values) {
  const size_t third = values.size() / 3;
  if (third < 8) return std::nullopt;
  const double first = median(values.first(third));
  if (first == 0) return std::nullopt;
  return median(values.last(third)) / first - 1;
}

}  // namespace

double binomial(size_t n, size_t k, double p) {
  const double all = static_cast<double>(n);
  const double hits = static_cast<double>(k);
  return std::exp(std::lgamma(all + 1) - std::lgamma(hits + 1) - std::lgamma(all - hits + 1) +
                  hits * std::log(p) + (all - hits) * std::log1p(-p));
}

size_t binomial_rank(size_t n, double p, double tail) {
  double below = 0;
  size_t k = 0;
  while (k < n) {
    below += binomial(n, k, p);
    if (below > tail) break;
    ++k;
  }
  return k;
}

double median(std::span<const double> values) {
  if (values.empty()) throw InternalError("median of no values");
  return median_of_sorted(sorted_copy(values));
}

double quantile(std::span<const double> sorted, double p) {
  if (sorted.empty()) throw InternalError("quantile of no values");
  // 0.9 * 10 is a little above 9 in binary; its rank is 9 all the same.
  const double rank = std::ceil(p * static_cast<double>(sorted.size()) - 1e-9);
  const double last = static_cast<double>(sorted.size());
  return sorted[static_cast<size_t>(std::clamp(rank, 1.0, last)) - 1];
}

std::optional<Interval> quantile_interval(std::span<const double> sorted, double p,
                                          double effective_n, double confidence) {
  const double actual = static_cast<double>(sorted.size());
  const size_t n = static_cast<size_t>(std::min(effective_n, actual));
  if (n == 0) return std::nullopt;
  const double tail = (1 - confidence) / 2;
  const size_t low = binomial_rank(n, p, tail);
  // By symmetry: the upper rank counts failures from the other end.
  const size_t from_top = binomial_rank(n, 1 - p, tail);
  if (low == 0 || from_top == 0) return std::nullopt;
  const double stretch = actual / static_cast<double>(n);
  const double low_rank = std::floor(static_cast<double>(low) * stretch);
  const double high_rank = std::ceil(actual - static_cast<double>(from_top) * stretch) + 1;
  return Interval{sorted[static_cast<size_t>(std::max(low_rank, 1.0)) - 1],
                  sorted[static_cast<size_t>(std::min(high_rank, actual)) - 1]};
}

size_t samples_needed(double p) {
  constexpr size_t kFewest = 64;
  constexpr double kDoubt = 0.01;
  const auto doubt = [p](double n) {  // at most one sample in n lies above the percentile
    return std::pow(p, n - 1) * (p + n * (1 - p));
  };
  size_t enough = kFewest;
  while (doubt(static_cast<double>(enough)) > kDoubt) enough *= 2;
  if (enough == kFewest) return kFewest;
  size_t too_few = enough / 2;
  while (enough - too_few > 1) {
    const size_t middle = too_few + (enough - too_few) / 2;
    (doubt(static_cast<double>(middle)) > kDoubt ? too_few : enough) = middle;
  }
  return enough;
}

double autocorrelation_lag1(std::span<const double> values) {
  if (values.size() < 8) return 0;
  const double middle = median(values);
  const auto side = [middle](double v) { return v > middle ? 1 : v < middle ? -1 : 0; };
  double agreement = 0;
  double pairs = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    const int product = side(values[i - 1]) * side(values[i]);
    agreement += product;
    pairs += product != 0 ? 1 : 0;
  }
  // The quadrant correlation of a normal pair with correlation r is 2/pi asin(r).
  return pairs > 0 ? std::sin(1.5707963267948966 * agreement / pairs) : 0;
}

double effective_count(std::span<const double> values) {
  const double r = std::clamp(autocorrelation_lag1(values), 0.0, 0.99);
  return static_cast<double>(values.size()) * (1 - r) / (1 + r);
}

double median_absolute_deviation(std::span<const double> values) {
  const double middle = median(values);
  std::vector<double> deviations(values.begin(), values.end());
  for (double& value : deviations) value = std::fabs(value - middle);
  return median(deviations);
}

Summary summarize(std::span<const double> values) {
  if (values.empty()) throw InternalError("summary of no values");
  const std::vector<double> sorted = sorted_copy(values);
  Summary s;
  s.n = values.size();
  s.min = sorted.front();
  s.max = sorted.back();
  const double n = static_cast<double>(s.n);
  s.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (s.n > 1) {
    double squares = 0;
    for (const double value : values) squares += (value - s.mean) * (value - s.mean);
    s.stdev = std::sqrt(squares / (n - 1));
    if (s.mean != 0) s.cv = *s.stdev / s.mean;
  }
  s.autocorrelation_lag1 = autocorrelation_lag1(values);
  s.effective_n = effective_count(values);
  s.median = {median_of_sorted(sorted), quantile_interval(sorted, 0.5, s.effective_n)};
  s.mad = median_absolute_deviation(values);
  const double q1 = quantile(sorted, 0.25);
  const double q3 = quantile(sorted, 0.75);
  s.iqr = q3 - q1;
  s.outliers = count_outliers(sorted, q1, q3);
  for (const double p : {0.5, 0.9, 0.95, 0.99, 0.999}) {
    s.percentiles.push_back(supported_percentile(sorted, p, s.effective_n));
  }
  s.drift = drift_of(values);
  return s;
}

}  // namespace lathe
