#include "bench/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "bench/random.h"
#include "ir/error.h"

namespace lathe {
namespace {

// A signed-rank test on fewer pairs could not reach 2.5 % either.
constexpr size_t kFewestPairs = 6;

struct Side {
  const Runnable* run;
  size_t next_iteration = 0;
};

// The fastest iteration after the first; blocks are what the bootstrap draws.
double time_block(Side& side, size_t kept, const Clock& clock) {
  (*side.run)(side.next_iteration++);
  double fastest = std::numeric_limits<double>::max();
  for (size_t i = 0; i < kept; ++i) {
    const int64_t start = clock();
    (*side.run)(side.next_iteration++);
    fastest = std::min(fastest, static_cast<double>(clock() - start));
  }
  return std::max(fastest, 1.0);  // a coarse clock may read 0, which has no logarithm
}

size_t choose_block_iterations(const ComparisonOptions& options, const Comparison& result) {
  const double slower = std::max(
      {result.baseline_warm_up.last_median_ns, result.candidate_warm_up.last_median_ns, 1.0});
  const double fitting = std::ceil(static_cast<double>(options.block_ns) / slower);
  const size_t most = std::max<size_t>(2, options.block_iterations);
  return fitting >= static_cast<double>(most) ? most
                                              : std::max<size_t>(2, static_cast<size_t>(fitting));
}

struct PairedRatios {
  std::vector<double> candidate;  // log candidate / baseline
  std::vector<double> itself;     // log baseline again / baseline
};

void run_pair(Side& baseline, Side& candidate, size_t kept, const Clock& clock, BenchRandom& random,
              PairedRatios& ratios) {
  std::array<size_t, 3> order = {0, 1, 2};
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  std::array<double, 3> block{};
  for (const size_t which : order) {
    block[which] = time_block(which == 1 ? candidate : baseline, kept, clock);
  }
  ratios.candidate.push_back(std::log(block[1] / block[0]));
  ratios.itself.push_back(std::log(block[2] / block[0]));
}

Interval ratio_interval(const std::vector<double>& log_ratios, const BootstrapOptions& options) {
  const Interval logs = bootstrap_interval({log_ratios}, options);
  return {std::exp(logs.low), std::exp(logs.high)};
}

void look(const PairedRatios& ratios, const ComparisonOptions& options, Comparison& result) {
  const BootstrapOptions bootstrap = {result.confidence, options.resamples, options.seed};
  result.interval = ratio_interval(ratios.candidate, bootstrap);
  result.ratio = std::exp(hodges_lehmann(ratios.candidate));
  const Interval itself = ratio_interval(ratios.itself, bootstrap);
  result.noise_floor = (itself.high - itself.low) / 2;
  result.effective_tolerance = std::max(options.tolerance, 3 * *result.noise_floor);
  result.verdict = judge_ratio(*result.interval, result.effective_tolerance);
}

// A pass under a raised tolerance says less than was asked. More pairs lower the noise floor, so
// they are taken while there are looks left.
bool is_settled(const Comparison& result) {
  switch (result.verdict) {
    case ComparisonVerdict::kRegressed:
    case ComparisonVerdict::kImproved: return true;
    case ComparisonVerdict::kPass: return result.effective_tolerance <= result.tolerance;
    case ComparisonVerdict::kInconclusive: return false;
  }
  throw InternalError("is_settled: unknown verdict");
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
  return {};
}

}  // namespace

std::string_view comparison_verdict_name(ComparisonVerdict verdict) {
  switch (verdict) {
    case ComparisonVerdict::kRegressed: return "regressed";
    case ComparisonVerdict::kPass: return "pass";
    case ComparisonVerdict::kImproved: return "improved";
    case ComparisonVerdict::kInconclusive: return "inconclusive";
  }
  throw InternalError("comparison_verdict_name: unknown verdict");
}

ComparisonVerdict judge_ratio(const Interval& ratio, double tolerance) {
  if (ratio.low > 1 + tolerance) return ComparisonVerdict::kRegressed;
  if (ratio.high < 1 - tolerance) return ComparisonVerdict::kImproved;
  if (ratio.high < 1 + tolerance) return ComparisonVerdict::kPass;
  return ComparisonVerdict::kInconclusive;
}

Comparison compare_runs(const Runnable& baseline, const Runnable& candidate,
                        const ComparisonOptions& options, const Conduct& conduct) {
  const int64_t start = conduct.clock();
  const size_t looks = std::max<size_t>(1, options.looks);
  Comparison result;
  result.tolerance = result.effective_tolerance = options.tolerance;
  result.confidence = 1 - (1 - options.confidence) / static_cast<double>(looks);
  result.baseline_warm_up = warm_up(baseline, options.warm_up, conduct);
  result.candidate_warm_up = warm_up(candidate, options.warm_up, conduct);
  result.block_iterations = choose_block_iterations(options, result);

  Side first = {&baseline, result.baseline_warm_up.iterations};
  Side second = {&candidate, result.candidate_warm_up.iterations};
  BenchRandom random(options.seed);
  PairedRatios ratios;
  size_t next_look = std::max(options.pairs, kFewestPairs);
  // Only the planned looks may decide: stopping whenever the result pleases would raise the rate
  // of false alarms. Running out of time ends with one last look, which takes the place of the
  // next.
  while (true) {
    if (conduct.interrupted()) {
      result.stop_reason = StopReason::kInterrupted;
    } else if (conduct.clock() - start >= options.max_ns) {
      result.stop_reason = StopReason::kMaxTime;
    } else if (ratios.candidate.size() < next_look) {
      run_pair(first, second, result.block_iterations, conduct.clock, random, ratios);
      continue;
    } else {
      look(ratios, options, result);
      ++result.looks;
      next_look *= 2;
      result.stop_reason = is_settled(result) ? StopReason::kConverged : StopReason::kIterations;
      if (is_settled(result) || result.looks == looks) break;
      continue;
    }
    if (ratios.candidate.size() >= kFewestPairs) {
      look(ratios, options, result);
      ++result.looks;
    }
    break;
  }
  result.pairs = ratios.candidate.size();
  result.log_ratios = std::move(ratios.candidate);
  result.time_ns = conduct.clock() - start;
  result.note = note_on(result);
  return result;
}

}  // namespace lathe
