#include "comparison/self_check.h"

#include <doctest/doctest.h>

#include <cmath>

#include "simulated_machine.h"
#include "simulated_stream.h"

namespace lathe {
namespace {

SelfCheckOptions fast_check_options(SimulatedMachine& machine, uint64_t seed) {
  SelfCheckOptions options;
  options.comparison.resamples = 300;
  options.comparison.pairs = 160;
  options.comparison.seed = seed;
  options.comparison.warm_up.min_ns = 10'000'000;
  options.burn = [&machine](int64_t units) {
    machine.workload(2.0 * static_cast<double>(units))(0);
  };
  return options;
}

SelfCheck self_check(const Runnable& model, const Runnable& again, const SelfCheckOptions& options,
                     const Conduct& conduct) {
  const SelfCheckRatios seen = measure_self_check(model, again, options, conduct);
  return judge_self_check(merge_comparison({seen.itself}, options.comparison),
                          merge_comparison({seen.slowed}, options.comparison), seen.injected);
}

TEST_CASE("an ordinary machine passes, and the added work is what was asked") {
  int passed = 0;
  for (uint64_t i = 0; i < 10; ++i) {
    SimulatedMachine machine(Noise::kAutocorrelated, i);
    const Runnable model = machine.workload(1e6);
    const SelfCheck check =
        self_check(model, model, fast_check_options(machine, i), machine.conduct());
    passed += check.verdict == SelfCheckVerdict::kPass;
    CHECK(check.injected == doctest::Approx(0.05).epsilon(0.1));
    CHECK(check.verdict != SelfCheckVerdict::kFail);
    CHECK(check.note.empty() == (check.verdict == SelfCheckVerdict::kPass));
  }
  CHECK(passed >= 9);
}

TEST_CASE("added work that is too little to see is no pass") {
  SimulatedMachine machine(Noise::kQuiet, 1);
  const Runnable model = machine.workload(1e6);
  SelfCheckOptions options = fast_check_options(machine, 1);
  options.injected = 0.005;
  const SelfCheck check = self_check(model, model, options, machine.conduct());
  CHECK(check.verdict == SelfCheckVerdict::kFail);
  CHECK(check.slowed.verdict == ComparisonVerdict::kPass);
  CHECK(check.note.find("was not seen") != std::string::npos);
  REQUIRE(check.resolvable.has_value());
  CHECK(*check.resolvable >= 0.02);
}

TEST_CASE("a difference where there is none fails") {
  SimulatedMachine machine(Noise::kQuiet, 2);
  const SelfCheck check = self_check(machine.workload(1e6), machine.workload(1.1e6),
                                     fast_check_options(machine, 2), machine.conduct());
  CHECK(check.verdict == SelfCheckVerdict::kFail);
  CHECK(check.note.find("against itself came out as regressed") != std::string::npos);
}

TEST_CASE("without time it is inconclusive") {
  SimulatedMachine machine(Noise::kQuiet, 3);
  SelfCheckOptions options = fast_check_options(machine, 3);
  options.comparison.max_ns = 1;
  const Runnable model = machine.workload(1e6);
  const SelfCheck check = self_check(model, model, options, machine.conduct());
  CHECK(check.verdict == SelfCheckVerdict::kInconclusive);
  CHECK(check.note == "too few pairs for a verdict");
}

TEST_CASE("several processes are merged") {
  SimulatedStream itself(Stream::kLayout, 0, 1);
  SimulatedStream slowed(Stream::kLayout, std::log(1.05), 2);
  SelfCheckOptions options;
  options.comparison.resamples = 300;
  const SelfCheck check = self_check_processes(
      [&](const ProcessPlan& plan) {
        SelfCheckRatios ratios;
        ratios.itself = itself.process(plan.number, 40);
        ratios.slowed = slowed.process(plan.number, 40);
        ratios.injected = 0.05;
        return std::optional(ratios);
      },
      options);
  CHECK(check.verdict == SelfCheckVerdict::kPass);
  CHECK(check.itself.processes == check.slowed.processes);
  CHECK(check.slowed.processes >= 5);
}

}  // namespace
}  // namespace lathe
