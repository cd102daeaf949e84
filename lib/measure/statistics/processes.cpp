#include "statistics/processes.h"

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

Interval hull(const Interval& interval, const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {std::min(interval.low, *low), std::max(interval.high, *high)};
}

}  // namespace

PooledSummary summarize_processes(const std::vector<std::vector<double>>& processes) {
  if (processes.empty()) throw InternalError("summary of no processes");
  PooledSummary pooled;
  std::vector<double> all;
  std::vector<double> drifts;
  std::vector<double> correlations;
  double effective = 0;
  for (const std::vector<double>& values : processes) {
    const Summary own = summarize(values);
    pooled.process_medians.push_back(own.median.value);
    if (own.drift) drifts.push_back(*own.drift);
    correlations.push_back(own.autocorrelation_lag1);
    effective += own.effective_n;
    all.insert(all.end(), values.begin(), values.end());
  }
  pooled.summary = summarize(all);
  if (processes.size() == 1) return pooled;
  Summary& summary = pooled.summary;
  // Of the joined series both would mostly tell where one process ends.
  summary.drift = drifts.empty() ? std::nullopt : std::optional(median(drifts));
  summary.autocorrelation_lag1 = median(correlations);
  summary.effective_n = effective;
  if (summary.median.ci95) summary.median.ci95 = hull(*summary.median.ci95, pooled.process_medians);
  for (Percentile& percentile : summary.percentiles)
    if (percentile.p == 0.5 && percentile.ci95) percentile.ci95 = summary.median.ci95;
  const double middle = median(pooled.process_medians);
  const Interval range = hull({middle, middle}, pooled.process_medians);
  if (middle > 0) pooled.spread = (range.high - range.low) / middle;
  return pooled;
}

}  // namespace lathe
