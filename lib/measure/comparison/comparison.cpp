#include "comparison/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "comparison/comparison_merge.h"
#include "ir/error.h"
#include "statistics/random.h"

namespace lathe {
namespace {

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

size_t choose_block_iterations(const ComparisonOptions& options, const ProcessRatios& result) {
  const double slower = std::max(
      {result.baseline_warm_up.last_median_ns, result.candidate_warm_up.last_median_ns, 1.0});
  const double fitting = std::ceil(static_cast<double>(options.block_ns) / slower);
  const size_t most = std::max<size_t>(2, options.block_iterations);
  return fitting >= static_cast<double>(most) ? most
                                              : std::max<size_t>(2, static_cast<size_t>(fitting));
}

// Runs pairs of blocks and keeps what they gave, with the order in which they ran.
class PairRunner {
 public:
  PairRunner(const Runnable& baseline, const Runnable& candidate, const ComparisonOptions& options,
             const Conduct& conduct)
      : conduct_(conduct), random_(options.seed), start_(conduct.clock()) {
    taken_.baseline_warm_up = warm_up(baseline, options.warm_up, conduct);
    taken_.candidate_warm_up = warm_up(candidate, options.warm_up, conduct);
    taken_.block_iterations = choose_block_iterations(options, taken_);
    sides_ = {Side{&baseline, taken_.baseline_warm_up.iterations},
              Side{&candidate, taken_.candidate_warm_up.iterations}};
    max_ns_ = options.max_ns;
  }

  size_t pairs() const { return raw_.size(); }

  /// Runs until there are `wanted` pairs; false, with the reason kept, when something ends it.
  bool run_to(size_t wanted) {
    while (raw_.size() < wanted) {
      if (conduct_.interrupted()) {
        taken_.stop_reason = StopReason::kInterrupted;
        return false;
      }
      if (conduct_.clock() - start_ >= max_ns_) {
        taken_.stop_reason = StopReason::kMaxTime;
        return false;
      }
      run_pair();
    }
    taken_.stop_reason = StopReason::kIterations;
    return true;
  }

  ProcessRatios taken() const {
    ProcessRatios result = taken_;
    result.order_effect = order_effect();
    for (size_t i = 0; i < raw_.size(); ++i) {
      result.log_ratios.push_back(raw_[i] - (candidate_last_[i] ? 1 : -1) * result.order_effect);
    }
    result.time_ns = conduct_.clock() - start_;
    return result;
  }

 private:
  void run_pair() {
    // The second of two pairs turns the first one's order round.
    const bool candidate_last =
        candidate_last_.size() % 2 == 1 ? !candidate_last_.back() : random_.below(2) == 1;
    std::array<double, 2> block{};
    for (const size_t which : {candidate_last ? size_t{0} : 1, candidate_last ? size_t{1} : 0}) {
      block[which] = time_block(sides_[which], taken_.block_iterations, conduct_.clock);
    }
    raw_.push_back(std::log(block[1] / block[0]));
    candidate_last_.push_back(candidate_last);
  }

  double order_effect() const {
    std::vector<double> halves;
    for (size_t i = 0; i + 1 < raw_.size(); i += 2) {
      halves.push_back((candidate_last_[i] ? 1 : -1) * (raw_[i] - raw_[i + 1]) / 2);
    }
    return halves.size() < 3 ? 0 : hodges_lehmann(halves);
  }

  const Conduct& conduct_;
  BenchRandom random_;
  int64_t start_;
  int64_t max_ns_ = 0;
  std::array<Side, 2> sides_{};
  ProcessRatios taken_;
  std::vector<double> raw_;
  std::vector<bool> candidate_last_;
};

}  // namespace

std::string_view comparison_verdict_name(ComparisonVerdict verdict) {
  static constexpr std::string_view kNames[] = {"regressed", "pass", "improved", "inconclusive"};
  return kNames[static_cast<size_t>(verdict)];
}

ComparisonVerdict judge_ratio(const Interval& ratio, double tolerance) {
  if (ratio.low > 1 + tolerance) return ComparisonVerdict::kRegressed;
  if (ratio.high < 1 - tolerance) return ComparisonVerdict::kImproved;
  if (ratio.high < 1 + tolerance) return ComparisonVerdict::kPass;
  return ComparisonVerdict::kInconclusive;
}

ProcessRatios measure_pairs(const Runnable& baseline, const Runnable& candidate,
                            const ComparisonOptions& options, const Conduct& conduct) {
  PairRunner runner(baseline, candidate, options, conduct);
  runner.run_to(std::max(options.pairs, kFewestPairs));
  return runner.taken();
}

Comparison compare_runs(const Runnable& baseline, const Runnable& candidate,
                        const ComparisonOptions& options, const Conduct& conduct) {
  const size_t looks = std::max<size_t>(1, options.looks);
  PairRunner runner(baseline, candidate, options, conduct);
  Comparison result;
  size_t next_look = std::max(options.pairs, kFewestPairs);
  // Only the planned looks may decide: stopping whenever the result pleases would raise the rate
  // of false alarms. Running out of time ends with one last look, which takes the place of the
  // next.
  for (size_t look = 1; look <= looks; ++look) {
    const bool reached = runner.run_to(next_look);
    const ProcessRatios taken = runner.taken();
    result = merge_comparison({taken}, options);
    result.looks = result.ratio ? look : look - 1;
    result.stop_reason = taken.stop_reason;
    if (!reached) break;
    if (is_settled(result)) {
      result.stop_reason = StopReason::kConverged;
      break;
    }
    next_look *= 2;
  }
  return result;
}

}  // namespace lathe
