#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "heavy/bench/load.h"

namespace lathe {

void withhold_unfinished(size_t left_waiting, Observations& seen) {
  if (left_waiting == 0) return;
  for (auto& [name, observed] : seen)
    if (name != "min" && name != "throughput")
      observed = {std::nullopt, std::nullopt,
                  fmt::format("{} queries were left waiting when the time ran out", left_waiting)};
}

void put_load(const BenchLoad& load, Observations& seen) {
  if (!load.latency) return;
  Observations own = latency_observations(*load.latency);
  const Throughput& rate = load.throughput;
  own["throughput"] = {
      rate.items_per_s,
      rate.has_interval ? std::optional(Interval{rate.low, rate.high}) : std::nullopt,
      rate.has_interval ? "" : "too few samples for an interval"};
  withhold_unfinished(load.left_waiting(), own);
  for (auto& [name, observed] : own) seen[name] = std::move(observed);
}

Throughput rate_of_answers(const std::vector<double>& moments_ns, double time_ns, double items) {
  constexpr size_t kBlocks = 20;
  constexpr size_t kFewestBlocks = 8;
  constexpr size_t kAnswersOfBlock = 5;
  Throughput rate;
  const double seconds = std::max(1e-9, time_ns * 1e-9);
  rate.items_per_s = static_cast<double>(moments_ns.size()) / seconds * items;
  rate.low = rate.high = rate.items_per_s;
  const size_t blocks = std::min(kBlocks, moments_ns.size() / kAnswersOfBlock);
  if (blocks < kFewestBlocks || time_ns <= 0) return rate;
  std::vector<double> counts(blocks, 0);
  for (const double moment : moments_ns) {
    const double at = moment / time_ns * static_cast<double>(blocks);
    counts[std::min(blocks - 1, static_cast<size_t>(std::max(0.0, at)))] += 1;
  }
  const Summary summary = summarize(counts);
  const double count = static_cast<double>(blocks);
  const double half = student_t_quantile(0.025, count - 1) * summary.stdev.value_or(0) /
                      std::sqrt(count) / summary.mean * rate.items_per_s;
  rate.low = std::max(0.0, rate.items_per_s - half);
  rate.high = rate.items_per_s + half;
  rate.has_interval = true;
  return rate;
}

}  // namespace lathe
