#include "load/over_limit.h"

#include <algorithm>
#include <numeric>

#include "statistics/statistics.h"

namespace lathe {
std::optional<size_t> most_over_limit(size_t n, double percentile, double confidence) {
  const size_t more = binomial_rank(n, 1 - percentile, 1 - confidence);
  return more > 0 ? std::optional(more - 1) : std::nullopt;
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
