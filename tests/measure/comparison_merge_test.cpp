#include "comparison/comparison_merge.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

#include "ir/error.h"
#include "simulated_stream.h"

namespace lathe {
namespace {

// 200 trials a stream gave 0 % to 2 % and 100 %; so few take seconds.
constexpr int kStreamTrials = 20;

ComparisonOptions few_resamples(uint64_t seed) {
  ComparisonOptions options;
  options.resamples = 400;
  options.seed = seed;
  return options;
}

Comparison compare_stream(Stream stream, double ratio, uint64_t seed) {
  SimulatedStream simulated(stream, std::log(ratio), 7000 + 31 * seed);
  const ComparisonOptions options = few_resamples(seed);
  return compare_processes(
      [&](const ProcessPlan& plan) {
        return std::optional(simulated.process(plan.number, options.pairs));
      },
      options);
}

struct Rates {
  std::map<ComparisonVerdict, int> verdicts;
  int covered = 0;  // intervals that hold the true ratio
};

Rates rates(Stream stream, double ratio, int trials) {
  Rates found;
  for (int i = 0; i < trials; ++i) {
    const Comparison c = compare_stream(stream, ratio, static_cast<uint64_t>(i));
    ++found.verdicts[c.verdict];
    found.covered += c.interval && c.interval->low <= ratio && ratio <= c.interval->high;
  }
  return found;
}

ProcessRatios constant_process(double log_ratio, size_t pairs) {
  ProcessRatios process;
  process.log_ratios.assign(pairs, log_ratio);
  return process;
}

TEST_CASE("every stream: a model against itself is seldom called slower, and passes") {
  for (const Stream stream : kAllStreams) {
    CAPTURE(stream_name(stream));
    Rates found = rates(stream, 1.0, kStreamTrials);
    MESSAGE(stream_name(stream) << ": regressed " << found.verdicts[ComparisonVerdict::kRegressed]
                                << " of " << kStreamTrials);
    CHECK(found.verdicts[ComparisonVerdict::kRegressed] <= 1);  // 5 %
    CHECK(found.verdicts[ComparisonVerdict::kImproved] <= 1);
    CHECK(found.verdicts[ComparisonVerdict::kPass] >= 18);
    CHECK(found.covered >= 19);
  }
}

TEST_CASE("every stream: a slowdown of 5 % is found") {
  for (const Stream stream : kAllStreams) {
    CAPTURE(stream_name(stream));
    Rates found = rates(stream, 1.05, kStreamTrials);
    MESSAGE(stream_name(stream) << ": regressed " << found.verdicts[ComparisonVerdict::kRegressed]
                                << " of " << kStreamTrials);
    CHECK(found.verdicts[ComparisonVerdict::kRegressed] >= 18);  // 90 %
    CHECK(found.covered >= 19);
  }
}

TEST_CASE("every stream: a slowdown that is just tolerated is not called a regression") {
  for (const Stream stream : kAllStreams) {
    CAPTURE(stream_name(stream));
    Rates found = rates(stream, 1.02, kStreamTrials);
    CHECK(found.verdicts[ComparisonVerdict::kRegressed] <= 1);
  }
}

TEST_CASE("the same processes give the same verdict and numbers") {
  const Comparison a = compare_stream(Stream::kHeavyTailed, 1.01, 3);
  const Comparison b = compare_stream(Stream::kHeavyTailed, 1.01, 3);
  CHECK(a.interval->low == b.interval->low);
  CHECK(a.p_regressed == b.p_regressed);
}

TEST_CASE("processes that differ widen the interval, however quiet each one is") {
  std::vector<ProcessRatios> processes;
  for (const double level : {-0.03, -0.01, 0.0, 0.02, 0.03})
    processes.push_back(constant_process(level, 1000));
  const Comparison c = merge_comparison(processes, few_resamples(1));
  CHECK(c.processes == 5);
  CHECK(c.interval->low < 0.98);
  CHECK(c.interval->high > 1.02);
  CHECK(c.verdict == ComparisonVerdict::kInconclusive);
  CHECK(c.process_ratios.size() == 5);
  CHECK(c.process_ratios[0] == doctest::Approx(std::exp(-0.03)));
}

TEST_CASE("alike neighbours count for less") {
  SimulatedStream correlated(Stream::kAutocorrelated, 0, 1);
  SimulatedStream independent(Stream::kIndependent, 0, 1);
  const auto worth = [](SimulatedStream& stream) {
    return merge_comparison({stream.process(0, 400)}, few_resamples(1)).effective_pairs;
  };
  CHECK(worth(correlated) < 60);  // 400 / 19 is the truth
  CHECK(worth(independent) > 250);
}

TEST_CASE("a p value agrees with the verdict") {
  const Comparison slower = compare_stream(Stream::kIndependent, 1.05, 1);
  CHECK(slower.verdict == ComparisonVerdict::kRegressed);
  CHECK(slower.p_regressed < 0.025);
  CHECK(slower.p_improved > 0.9);
  const Comparison faster = compare_stream(Stream::kIndependent, 0.9, 1);
  CHECK(faster.verdict == ComparisonVerdict::kImproved);
  CHECK(faster.p_improved < 0.025);
}

TEST_CASE("processes are doubled until the verdict is settled") {
  size_t started = 0;
  const Comparison c = compare_processes(
      [&](const ProcessPlan& plan) {
        ++started;
        // Wide apart: no number of them settles it.
        return std::optional(constant_process(plan.number % 2 == 0 ? 0.2 : -0.2, 10));
      },
      few_resamples(0));
  CHECK(started == 20);
  CHECK(c.looks == 3);
  CHECK(c.stop_reason == StopReason::kIterations);
  CHECK(c.verdict == ComparisonVerdict::kInconclusive);
}

TEST_CASE("no process is started that would pass the time") {
  int64_t now = 0;
  Conduct conduct;
  conduct.clock = [&now] { return now; };
  ComparisonOptions options = few_resamples(0);
  options.max_ns = 2'500;
  const Comparison c = compare_processes(
      [&](const ProcessPlan&) {
        now += 1'000;
        return std::optional(constant_process(0.0, 20));
      },
      options, conduct);
  CHECK(c.processes == 2);
  CHECK(c.stop_reason == StopReason::kMaxTime);
  CHECK(c.note.find("2 of at least 3 processes") != std::string::npos);
}

TEST_CASE("processes that fail are said, and not tried for ever") {
  size_t started = 0;
  const auto crash = [&](const ProcessPlan&) {
    ++started;
    return std::optional<ProcessRatios>();
  };
  const Comparison none = compare_processes(crash, few_resamples(0));
  CHECK(started == 3);
  CHECK(none.verdict == ComparisonVerdict::kInconclusive);
  CHECK_FALSE(none.ratio.has_value());
  CHECK(none.note.find("3 of 3 processes failed") != std::string::npos);
  const Comparison some = compare_processes(
      [&](const ProcessPlan& plan) {
        return plan.number == 1 ? std::nullopt : std::optional(constant_process(0.1, 20));
      },
      few_resamples(0));
  CHECK(some.processes == 5);
  CHECK(some.verdict == ComparisonVerdict::kRegressed);
  CHECK(some.note.find("1 of 6 processes failed") != std::string::npos);
}

TEST_CASE("plans differ from process to process, and orders of loading are balanced") {
  size_t candidate_first = 0;
  std::set<uint64_t> seeds;
  std::set<size_t> paddings;
  for (size_t i = 0; i < 20; ++i) {
    const ProcessPlan plan = process_plan(5, i);
    candidate_first += plan.candidate_loads_first;
    seeds.insert(plan.seed);
    paddings.insert(plan.first_heap_padding);
    CHECK(plan.environment_padding < 4096);
    CHECK(plan.first_heap_padding % 16 == 0);
    CHECK(plan.candidate_loads_first == process_plan(5, i).candidate_loads_first);
    if (i % 2 == 1)
      CHECK(plan.candidate_loads_first != process_plan(5, i - 1).candidate_loads_first);
  }
  CHECK(candidate_first == 10);
  CHECK(seeds.size() == 20);
  CHECK(paddings.size() > 15);
}

TEST_CASE("nothing measured is no verdict") {
  const Comparison c = merge_comparison({}, few_resamples(0));
  CHECK(c.verdict == ComparisonVerdict::kInconclusive);
  CHECK(c.processes == 0);
  CHECK(c.note.find("at least 6") != std::string::npos);
}

TEST_CASE("Student's t and the rank test agree with tables") {
  CHECK(student_t_quantile(0.025, 4) == doctest::Approx(2.776445));
  CHECK(student_t_quantile(0.025, 1) == doctest::Approx(12.706205));
  CHECK(student_t_quantile(0.005, 30) == doctest::Approx(2.749996));
  CHECK(student_t_tail(-2.776445, 4) == doctest::Approx(0.975));
  CHECK(student_t_tail(0, 7) == doctest::Approx(0.5));
  const std::vector<double> low = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<double> high = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  // scipy.stats.mannwhitneyu(low, high, method="asymptotic")
  CHECK(mann_whitney_p(low, high) == doctest::Approx(0.000182672).epsilon(1e-4));
  CHECK(mann_whitney_p(low, low) == doctest::Approx(1.0));
}

}  // namespace
}  // namespace lathe
