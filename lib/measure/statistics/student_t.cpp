// Tails of Student's t, and the rank test of two samples.
#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

// Continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes 6.4).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto away_from_0 = [](double v) { return std::fabs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / away_from_0(1 - (a + b) * x / (a + 1));
  double h = d;
  for (int m = 1; m <= 500; ++m) {
    const double k = m;
    const double even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
    d = 1 / away_from_0(1 + even * d);
    c = away_from_0(1 + even / c);
    h *= d * c;
    const double odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
    d = 1 / away_from_0(1 + odd * d);
    c = away_from_0(1 + odd / c);
    const double step = d * c;
    h *= step;
    if (std::fabs(step - 1) < 1e-14) break;
  }
  return h;
}

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                   : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

}  // namespace

double student_t_tail(double t, double degrees) {
  if (!(degrees > 0)) throw InternalError("Student's t without degrees of freedom");
  const double two_sided = incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
  return t >= 0 ? two_sided / 2 : 1 - two_sided / 2;
}

double student_t_quantile(double tail, double degrees) {
  if (!(tail > 0 && tail < 1)) throw InternalError("quantile of Student's t outside of (0, 1)");
  if (tail > 0.5) return -student_t_quantile(1 - tail, degrees);
  double low = 0;
  double high = 1;
  while (student_t_tail(high, degrees) > tail && high < 1e12) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
    const double middle = (low + high) / 2;
    (student_t_tail(middle, degrees) > tail ? low : high) = middle;
  }
  return high;
}

Estimate positive_mean(const Summary& summary) {
  Estimate mean{summary.mean, {}};
  if (!summary.stdev) return mean;
  const double count = static_cast<double>(summary.n);
  const double half = student_t_quantile(0.025, count - 1) * *summary.stdev / std::sqrt(count);
  mean.ci95 = Interval{std::max(0.0, mean.value - half), mean.value + half};
  return mean;
}

double mann_whitney_p(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) throw InternalError("Mann-Whitney test of no values");
  std::vector<std::pair<double, bool>> all;
  for (const double v : a) all.emplace_back(v, true);
  for (const double v : b) all.emplace_back(v, false);
  std::sort(all.begin(), all.end());
  const double n = static_cast<double>(all.size());
  double rank_sum = 0;  // of a
  double ties = 0;
  for (size_t i = 0; i < all.size();) {
    size_t end = i;
    double of_a = 0;
    for (; end < all.size() && all[end].first == all[i].first; ++end) of_a += all[end].second;
    const double equal = static_cast<double>(end - i);
    rank_sum += of_a * (static_cast<double>(i + end + 1) / 2);
    ties += equal * equal * equal - equal;
    i = end;
  }
  const double na = static_cast<double>(a.size());
  const double nb = static_cast<double>(b.size());
  const double u = rank_sum - na * (na + 1) / 2;
  const double variance = na * nb / 12 * ((n + 1) - ties / (n * (n - 1)));
  if (variance <= 0) return 1;
  const double off = std::max(0.0, std::fabs(u - na * nb / 2) - 0.5);
  return std::erfc(off / std::sqrt(2 * variance));
}

}  // namespace lathe
