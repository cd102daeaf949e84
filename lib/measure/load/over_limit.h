// How many of a run's queries may be over a latency limit before the percentile is missed.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace lathe {

/// The most of `n` queries that may lie over the limit so that, with this confidence, at most
/// 1 - percentile of all queries do: the largest k with P(Binomial(n, 1 - percentile) <= k) <=
/// 1 - confidence. Absent where n is too small for any (LoadGen's 99 %: below 459 for p99).
std::optional<size_t> most_over_limit(size_t n, double percentile, double confidence);

/// The fewest over the limit that show, with this confidence, that more than 1 - percentile are:
/// the smallest k with P(Binomial(n, 1 - percentile) >= k) <= 1 - confidence; n + 1 where none.
size_t fewest_over_limit(size_t n, double percentile, double confidence);

/// How many queries say no more than one independent query would: the variance of the number over
/// the limit in 24 blocks of the run, against that of independent queries; at least 1. Where hardly
/// any are over the limit, a lower one stands in that five times as many as the percentile allows
/// are over. `latency_ns` is in the order of the run.
double clustering(const std::vector<double>& latency_ns, double limit_ns, double percentile);

}  // namespace lathe
