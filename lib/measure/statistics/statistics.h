// Statistics of repeated measurements. Nothing here drops a sample: outliers are counted, not cut.
// Values may carry any unit; results carry the same one. All functions are deterministic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lathe {

/// Both ends belong to it.
struct Interval {
  double low = 0;
  double high = 0;
};

struct Estimate {
  double value = 0;
  std::optional<Interval> ci95;  // absent when the samples cannot support one
};

/// A percentile that is only given when the samples support it.
struct Percentile {
  double p = 0;                 // in (0, 1)
  std::optional<double> value;  // absent: `reason` says why ("needs 662 samples, has 100")
  std::optional<Interval> ci95;
  std::string reason;
};

/// Tukey's fences: outside 1.5 (mild) or 3 (severe) interquartile ranges from the quartiles.
struct Outliers {
  size_t mild = 0;
  size_t severe = 0;
};

struct Summary {
  size_t n = 0;
  double min = 0;
  double max = 0;
  double mean = 0;
  std::optional<double> stdev;  // needs two samples, as cv does
  Estimate median;
  double mad = 0;  // median absolute deviation from the median, unscaled
  double iqr = 0;
  std::optional<double> cv;             // stdev / mean; absent too where the mean is 0
  std::vector<Percentile> percentiles;  // p50 p90 p95 p99 p99.9
  Outliers outliers;
  double autocorrelation_lag1 = 0;
  double effective_n = 0;       // n less what neighbours repeat of one another
  std::optional<double> drift;  // median of the last third / median of the first third, less 1
};

/// The mean of the two middle values for an even count. Throws InternalError for no values.
double median(std::span<const double> values);

/// The ceil(p n)-th of the sorted values (nearest rank). `sorted` is not empty, 0 < p < 1.
double quantile(std::span<const double> sorted, double p);

/// P(X = k) for X ~ Binomial(n, p).
double binomial(size_t n, size_t k, double p);

/// The largest k with P(X < k) <= tail for X ~ Binomial(n, p); 0 when there is none.
size_t binomial_rank(size_t n, double p, double tail);

/// Confidence interval of the p-quantile between two order statistics: free of assumptions about
/// the distribution (Conover, Practical Nonparametric Statistics, section 3.2). `effective_n`
/// stands for the number of independent samples. Absent when so few cannot reach the confidence.
std::optional<Interval> quantile_interval(std::span<const double> sorted, double p,
                                          double effective_n, double confidence = 0.95);

/// How many samples a percentile needs before it is shown: the smallest n for which two samples
/// above it are seen with 99 % confidence (MLPerf LoadGen's early stopping), and never below 64:
/// 64 for p <= 0.9, 130 for 0.95, 662 for 0.99, 6636 for 0.999.
size_t samples_needed(double p);

/// Correlation of neighbours, from which side of the median both lie on: one slow sample does not
/// move it. 0 for fewer than 8 values or when all are equal.
double autocorrelation_lag1(std::span<const double> values);

/// n (1 - r) / (1 + r), for r = max(0, autocorrelation_lag1): the independent samples that a
/// first-order autoregressive series of this length is worth.
double effective_count(std::span<const double> values);

/// Median absolute deviation from the median.
double median_absolute_deviation(std::span<const double> values);

/// Median of the means of all pairs, each value with itself included (Hodges and Lehmann 1963).
/// To within 1e-12 of the range. Throws InternalError for no values.
double hodges_lehmann(std::span<const double> values);

/// `values` in the order in which they were measured. Throws InternalError for no values.
Summary summarize(std::span<const double> values);

/// Two levels that a series of latencies jumps between (a neighbour that comes and goes, a core
/// that changes its clock): no single number then stands for it.
struct TwoModes {
  double low = 0;  // medians of both groups
  double high = 0;
  double high_share = 0;  // of the values
  double explained = 0;   // share of the variance that the split into two explains
};

/// The split into two groups that explains most of the variance of the logarithms (Otsu 1979), when
/// it explains at least 85 % of it (a normal distribution: 64 %, a uniform one: 75 %), each group
/// holds 10 % of the values, and the levels lie 5 % apart. The outermost 2 % on either side are
/// left out of the search. nullopt otherwise, below 32 values, and for values that are not
/// positive.
std::optional<TwoModes> two_modes(std::span<const double> values);

struct BootstrapOptions {
  double confidence = 0.95;
  size_t resamples = 10000;
  uint64_t seed = 0;
};

/// A location of grouped values and how sure it is.
struct GroupedEstimate {
  double value = 0;  // median over the groups of each one's Hodges-Lehmann estimate
  /// Half of the way to the bootstrap's 2.3 % and 97.7 % quantiles, corrected for few groups: a
  /// standard error on each side, which one odd group of ten moves neither of.
  double error_below = 0;
  double error_above = 0;
  double degrees = 1;      // of freedom of Student's t: groups - 1, or effective_n - 1 of one
  double effective_n = 0;  // independent values of all groups together
};

/// Bootstrap: groups (processes) are drawn again with replacement, then values (blocks) within each
/// drawn group. The values' part is widened by what neighbours repeat of one another: the values of
/// each group are in the order of measurement. The same seed gives the same estimate everywhere.
/// Below three groups nothing is known of how groups differ, and the estimate speaks of the given
/// ones only. Empty groups are left out. Throws InternalError when all are empty.
GroupedEstimate estimate_location(const std::vector<std::vector<double>>& groups,
                                  const BootstrapOptions& options = {});

/// value - t(degrees) error_below to value + t(degrees) error_above; Hesterberg 2015, "What
/// teachers should know about the bootstrap", section 4, on why few groups need t and sqrt(n / (n -
/// 1)).
Interval estimate_interval(const GroupedEstimate& estimate, double confidence);

/// One-sided p of "the location is at most `limit`", and of "at least".
double p_above(const GroupedEstimate& estimate, double limit);
double p_below(const GroupedEstimate& estimate, double limit);

/// Independent values that groups of one process each are worth: their length over the integrated
/// autocorrelation time, summed while neighbouring lags add up to more than nothing (Geyer 1992,
/// initial positive sequence), values beyond three deviations cut. At least 1.
double pooled_effective_count(const std::vector<std::vector<double>>& groups);

/// P(T > t) of Student's t; t of that tail. degrees > 0, 0 < tail < 1.
double student_t_tail(double t, double degrees);
double student_t_quantile(double tail, double degrees);

/// The mean with Student's 95 % interval, cut off at 0; of one value without.
Estimate positive_mean(const Summary& summary);

/// Two-sided p of Mann and Whitney's test, normal approximation with ties and continuity corrected:
/// for 8 values a side and more. Both sides are not empty.
double mann_whitney_p(std::span<const double> a, std::span<const double> b);

}  // namespace lathe
