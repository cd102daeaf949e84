#include "load/over_limit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "statistics/statistics.h"

namespace lathe {
namespace {

// P(X = k) for X ~ Binomial(n, q).
double binomial(size_t n, size_t k, double q) {
  const double all = static_cast<double>(n);
  const double hits = static_cast<double>(k);
  return std::exp(std::lgamma(all + 1) - std::lgamma(hits + 1) - std::lgamma(all - hits + 1) +
                  hits * std::log(q) + (all - hits) * std::log1p(-q));
}

}  // namespace

std::optional<size_t> most_over_limit(size_t n, double percentile, double confidence) {
  double below = 0;
  std::optional<size_t> most;
  for (size_t k = 0; k <= n; ++k) {
    below += binomial(n, k, 1 - percentile);
    if (below > 1 - confidence) break;
    most = k;
  }
  return most;
}

size_t fewest_over_limit(size_t n, double percentile, double confidence) {
  double below = 0;  // P(X < k)
  for (size_t k = 0; k <= n; ++k) {
    if (1 - below <= 1 - confidence) return k;
    below += binomial(n, k, 1 - percentile);
  }
  return n + 1;
}

double clustering(const std::vector<double>& latency_ns, double limit_ns, double percentile) {
  constexpr size_t kBlocks = 24;
  const size_t length = latency_ns.size() / kBlocks;
  if (length < 2) return 1;
  std::vector<double> sorted = latency_ns;
  std::sort(sorted.begin(), sorted.end());
  const double level =
      std::min(limit_ns, quantile(sorted, std::max(0.5, 1 - 5 * (1 - percentile))));
  std::vector<double> counts(kBlocks, 0);
  for (size_t i = 0; i < kBlocks * length; ++i) {
    if (latency_ns[i] > level) ++counts[i / length];
  }
  const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / kBlocks;
  const double share = mean / static_cast<double>(length);
  if (share <= 0 || share >= 1) return 1;
  double squares = 0;
  for (const double count : counts) squares += (count - mean) * (count - mean);
  return std::max(1.0, squares / (kBlocks - 1) / (mean * (1 - share)));
}

}  // namespace lathe
