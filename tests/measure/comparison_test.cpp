#include "comparison/comparison.h"

#include <doctest/doctest.h>

#include <map>

#include "simulated_machine.h"

namespace lathe {
namespace {

constexpr Noise kAllNoise[] = {Noise::kAutocorrelated, Noise::kBimodal, Noise::kDrifting};

ComparisonOptions fast_options(uint64_t seed) {
  ComparisonOptions options;
  options.resamples = 300;
  options.seed = seed;
  options.warm_up.min_ns = 10'000'000;
  return options;
}

Comparison compare_simulated(Noise noise, double factor, uint64_t seed) {
  SimulatedMachine machine(noise, 1000 + seed);
  return compare_runs(machine.workload(1e6), machine.workload(1e6 * factor), fast_options(seed),
                      machine.conduct());
}

std::map<ComparisonVerdict, int> verdicts(double factor, int trials) {
  std::map<ComparisonVerdict, int> count;
  for (const Noise noise : kAllNoise) {
    for (int i = 0; i < trials; ++i) {
      ++count[compare_simulated(noise, factor, static_cast<uint64_t>(i)).verdict];
    }
  }
  return count;
}

TEST_CASE("a model against itself is seldom called slower") {
  auto count = verdicts(1.0, 40);
  CHECK(count[ComparisonVerdict::kRegressed] <= 6);  // 5 % of 120
  CHECK(count[ComparisonVerdict::kPass] >= 100);
  CHECK(count[ComparisonVerdict::kImproved] <= 6);
}

TEST_CASE("a slowdown of 5 % is found, and so is the speed-up") {
  auto slower = verdicts(1.05, 40);
  MESSAGE("regressed: " << slower[ComparisonVerdict::kRegressed] << " of 120");
  CHECK(slower[ComparisonVerdict::kRegressed] >= 108);  // 90 % of 120
  auto faster = verdicts(0.95, 20);
  CHECK(faster[ComparisonVerdict::kImproved] >= 48);
  CHECK(faster[ComparisonVerdict::kRegressed] == 0);
}

TEST_CASE("the ratio is near the truth and its interval holds it") {
  const Comparison c = compare_simulated(Noise::kAutocorrelated, 0.5, 3);
  REQUIRE(c.ratio.has_value());
  REQUIRE(c.interval.has_value());
  CHECK(*c.ratio == doctest::Approx(0.5).epsilon(0.02));
  CHECK(c.interval->low < 0.5);
  CHECK(c.interval->high > 0.5);
  CHECK(c.stop_reason == StopReason::kConverged);
  CHECK(c.log_ratios.size() == c.pairs);
  CHECK(c.confidence == doctest::Approx(1 - 0.05 / 3));
}

TEST_CASE("the same seed and the same times give the same comparison") {
  const Comparison a = compare_simulated(Noise::kBimodal, 1.01, 9);
  const Comparison b = compare_simulated(Noise::kBimodal, 1.01, 9);
  CHECK(a.log_ratios == b.log_ratios);
  CHECK(a.interval->low == b.interval->low);
}

TEST_CASE("without time there is no verdict") {
  SimulatedMachine machine(Noise::kQuiet, 1);
  ComparisonOptions options = fast_options(0);
  options.max_ns = 100'000'000;
  options.warm_up.min_ns = 0;
  const Comparison c =
      compare_runs(machine.workload(1e7), machine.workload(2e7), options, machine.conduct());
  CHECK(c.verdict == ComparisonVerdict::kInconclusive);
  CHECK_FALSE(c.ratio.has_value());
  CHECK(c.stop_reason == StopReason::kMaxTime);
  CHECK(c.note.find("at least 6") != std::string::npos);
}

TEST_CASE("a difference at the tolerance is inconclusive after all looks") {
  const Comparison c = compare_simulated(Noise::kQuiet, 1.02, 4);
  CHECK(c.verdict == ComparisonVerdict::kInconclusive);
  CHECK(c.looks == 3);
  CHECK(c.pairs == 160);
  CHECK(c.stop_reason == StopReason::kIterations);
}

TEST_CASE("a tolerance below the noise floor is raised, and the note says so") {
  SimulatedMachine machine(Noise::kAutocorrelated, 6);
  ComparisonOptions options = fast_options(6);
  options.tolerance = 1e-5;
  const Comparison c =
      compare_runs(machine.workload(1e6), machine.workload(1e6), options, machine.conduct());
  CHECK(c.effective_tolerance > 1e-5);
  CHECK(c.effective_tolerance == doctest::Approx(3 * *c.noise_floor));
  CHECK(c.note.find("cannot resolve") != std::string::npos);
  CHECK(c.looks == 3);
}

TEST_CASE("an interruption ends it with what there is") {
  SimulatedMachine machine(Noise::kQuiet, 7);
  Conduct conduct = machine.conduct();
  size_t asked = 0;
  conduct.interrupted = [&] { return ++asked > 40; };
  const Comparison c =
      compare_runs(machine.workload(1e6), machine.workload(1e6), fast_options(0), conduct);
  CHECK(c.stop_reason == StopReason::kInterrupted);
  CHECK(c.pairs < 40);
}

TEST_CASE("slow models get short blocks") {
  SimulatedMachine machine(Noise::kQuiet, 8);
  const Comparison c = compare_runs(machine.workload(3e7), machine.workload(3e7), fast_options(0),
                                    machine.conduct());
  CHECK(c.block_iterations == 2);
}

TEST_CASE("judge_ratio keeps to the interval") {
  CHECK(judge_ratio({1.03, 1.05}, 0.02) == ComparisonVerdict::kRegressed);
  CHECK(judge_ratio({1.01, 1.05}, 0.02) == ComparisonVerdict::kInconclusive);
  CHECK(judge_ratio({0.97, 1.01}, 0.02) == ComparisonVerdict::kPass);
  CHECK(judge_ratio({0.90, 0.97}, 0.02) == ComparisonVerdict::kImproved);
}

}  // namespace
}  // namespace lathe
