#include "comparison/comparison_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "statistics/random.h"

namespace lathe {
namespace {

constexpr size_t kFailuresInRow = 3;
// Beyond this a pass under the raised tolerance would have little to do with what was asked.
constexpr double kMostRaised = 2;

// Each pair less its neighbour: what the blocks would say of a model against itself. The signs are
// drawn, so that a drift, which all differences share, does not add up.
void add_null(const std::vector<double>& log_ratios, BenchRandom& random,
              std::vector<double>& null) {
  for (size_t i = 0; i + 1 < log_ratios.size(); i += 2) {
    const double half = (log_ratios[i] - log_ratios[i + 1]) / 2;
    null.push_back(random.below(2) == 1 ? half : -half);
  }
}

double half_width(const std::vector<double>& null, const BootstrapOptions& bootstrap) {
  const Interval interval =
      estimate_interval(estimate_location({null}, bootstrap), bootstrap.confidence);
  return (std::exp(interval.high) - std::exp(interval.low)) / 2;
}

std::string note_on(const Comparison& result) {
  if (!result.ratio) {
    return fmt::format("{} pairs were run; at least {} are needed for a verdict", result.pairs,
                       kFewestPairs);
  }
  if (result.effective_tolerance > result.tolerance) {
    return fmt::format("this machine cannot resolve {:.3g} % now; it resolves {:.2g} %",
                       100 * result.tolerance, 100 * result.effective_tolerance);
  }
  if (result.processes < kFewestProcesses && result.processes > 0)
    return fmt::format("{} of at least {} processes: how processes differ is not in the interval",
                       result.processes, kFewestProcesses);
  return {};
}

void judge(const std::vector<std::vector<double>>& groups, const std::vector<double>& null,
           const ComparisonOptions& options, Comparison& result) {
  const BootstrapOptions bootstrap = {result.confidence, options.resamples, options.seed};
  const GroupedEstimate estimate = estimate_location(groups, bootstrap);
  const Interval logs = estimate_interval(estimate, result.confidence);
  result.ratio = std::exp(estimate.value);
  result.interval = {std::exp(logs.low), std::exp(logs.high)};
  result.effective_pairs = estimate.effective_n;
  result.noise_floor = half_width(null, bootstrap);
  result.effective_tolerance = std::max(options.tolerance, 3 * *result.noise_floor);
  result.verdict = judge_ratio(*result.interval, result.effective_tolerance);
  if (result.verdict == ComparisonVerdict::kPass &&
      result.effective_tolerance > kMostRaised * options.tolerance &&
      result.interval->high >= 1 + options.tolerance)
    result.verdict = ComparisonVerdict::kInconclusive;
  const double looks = static_cast<double>(std::max<size_t>(1, options.looks));
  result.p_regressed =
      std::min(1.0, looks * p_above(estimate, std::log1p(result.effective_tolerance)));
  // A tolerance of 100 % or more leaves no speed-up to find.
  if (result.effective_tolerance < 1)
    result.p_improved =
        std::min(1.0, looks * p_below(estimate, std::log1p(-result.effective_tolerance)));
}

}  // namespace

ProcessPlan process_plan(uint64_t seed, size_t number) {
  // Two processes share a draw, of which the second takes the opposite order.
  BenchRandom pair_random(seed ^ (0x5851F42D4C957F2DULL * (number / 2 + 1)));
  BenchRandom random(pair_random.next() + number);
  ProcessPlan plan;
  plan.number = number;
  plan.seed = random.next();
  plan.candidate_loads_first = (pair_random.below(2) + number) % 2 == 1;
  plan.environment_padding = random.below(4096);
  plan.first_heap_padding = 16 * (1 + random.below(4096));
  plan.second_heap_padding = 16 * (1 + random.below(4096));
  return plan;
}

Comparison merge_comparison(const std::vector<ProcessRatios>& processes,
                            const ComparisonOptions& options) {
  Comparison result;
  result.processes = 0;
  result.tolerance = result.effective_tolerance = options.tolerance;
  result.confidence =
      1 - (1 - options.confidence) / static_cast<double>(std::max<size_t>(1, options.looks));
  BenchRandom random(options.seed);
  std::vector<std::vector<double>> groups;
  std::vector<double> null;
  std::vector<double> order_effects;
  for (const ProcessRatios& process : processes) {
    result.time_ns += process.time_ns;
    if (result.block_iterations == 0) result.block_iterations = process.block_iterations;
    if (process.log_ratios.empty()) continue;
    ++result.processes;
    groups.push_back(process.log_ratios);
    add_null(process.log_ratios, random, null);
    order_effects.push_back(process.order_effect);
    result.process_ratios.push_back(std::exp(hodges_lehmann(process.log_ratios)));
    result.log_ratios.insert(result.log_ratios.end(), process.log_ratios.begin(),
                             process.log_ratios.end());
  }
  result.pairs = result.log_ratios.size();
  if (!order_effects.empty()) result.order_effect = median(order_effects);
  if (result.pairs >= kFewestPairs && !null.empty()) judge(groups, null, options, result);
  result.note = note_on(result);
  return result;
}

bool is_settled(const Comparison& result) {
  switch (result.verdict) {
    case ComparisonVerdict::kRegressed:
    case ComparisonVerdict::kImproved: return true;
    // A pass under a raised tolerance says less than was asked. More pairs lower the noise floor,
    // so they are taken while there are looks left.
    case ComparisonVerdict::kPass: return result.effective_tolerance <= result.tolerance;
    case ComparisonVerdict::kInconclusive: return false;
  }
  throw InternalError("is_settled: unknown verdict");
}

Comparison compare_processes(
    const std::function<std::optional<ProcessRatios>(const ProcessPlan&)>& measure,
    const ComparisonOptions& options, const Conduct& conduct, std::vector<ProcessRatios>* taken) {
  const int64_t start = conduct.clock();
  const size_t looks = std::max<size_t>(1, options.looks);
  std::vector<ProcessRatios> processes;
  Comparison result;
  size_t started = 0;
  size_t failed = 0;
  size_t failed_in_row = 0;
  int64_t longest = 0;
  size_t next_look = std::max<size_t>(1, options.processes);
  std::optional<StopReason> ended;
  for (size_t look = 1; look <= looks; ++look) {
    while (processes.size() < next_look && !ended) {
      const int64_t now = conduct.clock();
      if (conduct.interrupted()) {
        ended = StopReason::kInterrupted;
      } else if (started > 0 && now - start + longest > options.max_ns) {
        ended = StopReason::kMaxTime;
      } else if (failed_in_row == kFailuresInRow) {
        ended = StopReason::kMaxIterations;
      } else {
        auto measured = measure(process_plan(options.seed, started++));
        longest = std::max(longest, conduct.clock() - now);
        failed_in_row = measured ? 0 : failed_in_row + 1;
        failed += measured ? 0 : 1;
        if (measured) processes.push_back(std::move(*measured));
      }
    }
    result = merge_comparison(processes, options);
    result.looks = result.ratio ? look : look - 1;
    if (ended) break;
    if (is_settled(result)) break;
    next_look *= 2;
  }
  result.stop_reason = ended                ? *ended
                       : is_settled(result) ? StopReason::kConverged
                                            : StopReason::kIterations;
  result.time_ns = conduct.clock() - start;
  const auto append = [&result](const std::string& text) {
    result.note += (result.note.empty() ? "" : "; ") + text;
  };
  if (failed > 0) append(fmt::format("{} of {} processes failed", failed, started));
  if (taken != nullptr) taken->insert(taken->end(), processes.begin(), processes.end());
  return result;
}

}  // namespace lathe
