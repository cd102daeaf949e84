#include <fmt/format.h>

#include <algorithm>

#include "heavy/bench/load.h"

namespace lathe {

void withhold_unfinished(size_t left_waiting, Observations& seen) {
  if (left_waiting == 0) return;
  for (auto& [name, observed] : seen)
    if (name != "min" && name != "throughput")
      observed = {std::nullopt, std::nullopt,
                  fmt::format("{} queries were left waiting when the time ran out", left_waiting)};
}

Estimate rate_of_answers(const std::vector<double>& moments_ns, double time_ns, double items) {
  constexpr size_t kBlocks = 20;
  constexpr size_t kFewestBlocks = 8;
  constexpr size_t kAnswersOfBlock = 5;
  const double seconds = std::max(1e-9, time_ns * 1e-9);
  Estimate rate{static_cast<double>(moments_ns.size()) / seconds * items, {}};
  const size_t blocks = std::min(kBlocks, moments_ns.size() / kAnswersOfBlock);
  if (blocks < kFewestBlocks || time_ns <= 0) return rate;
  std::vector<double> counts(blocks, 0);
  for (const double moment : moments_ns) {
    const double at = moment / time_ns * static_cast<double>(blocks);
    counts[std::min(blocks - 1, static_cast<size_t>(std::max(0.0, at)))] += 1;
  }
  const Estimate count = positive_mean(summarize(counts));
  const double scale = rate.value / count.value;
  rate.ci95 = Interval{scale * count.ci95->low, scale * count.ci95->high};
  return rate;
}

}  // namespace lathe
