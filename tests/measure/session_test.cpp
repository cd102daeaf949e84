#include "measure/session.h"

#include <doctest/doctest.h>

#include "simulated_machine.h"

namespace lathe {
namespace {

TEST_CASE("a session without another model times one") {
  SimulatedMachine machine(Noise::kQuiet, 1);
  const Session session = run_session(machine.workload(2e6), nullptr, 4, {}, machine.conduct());
  REQUIRE(session.candidate);
  CHECK(session.candidate->summary.median.value > 2e6);
  CHECK(session.candidate->summary.median.value < 2.1e6);
  CHECK(session.candidate->throughput.value > 4 / 2.1e-3);
  CHECK(session.candidate->samples.stop_reason == StopReason::kConverged);
  CHECK_FALSE(session.against);
  CHECK_FALSE(session.comparison);
  CHECK_FALSE(session.interrupted);
}

TEST_CASE("a session keeps to its time and still compares") {
  SimulatedMachine machine(Noise::kAutocorrelated, 2);
  SessionOptions options;
  options.max_ns = 20'000'000'000;
  const Runnable against = machine.workload(40e6);
  const Session session =
      run_session(machine.workload(20e6), &against, 1, options, machine.conduct());
  REQUIRE(session.comparison);
  CHECK(session.comparison->verdict == ComparisonVerdict::kImproved);
  CHECK(*session.comparison->ratio == doctest::Approx(0.5).epsilon(0.05));
  // One pair of blocks may be under way when the time is over.
  CHECK(machine.time_ns() < options.max_ns + 2'000'000'000);
}

TEST_CASE("each model gives a sample, whatever the time") {
  SimulatedMachine machine(Noise::kQuiet, 3);
  SessionOptions options;
  options.max_ns = 1;
  const Runnable against = machine.workload(1e9);
  const Session session =
      run_session(machine.workload(1e9), &against, 1, options, machine.conduct());
  REQUIRE(session.candidate);
  REQUIRE(session.against);
  CHECK(session.candidate->summary.n == 1);
  REQUIRE(session.comparison);
  CHECK_FALSE(session.comparison->ratio);
  CHECK(session.comparison->verdict == ComparisonVerdict::kInconclusive);
}

TEST_CASE("iterations are exact") {
  SimulatedMachine machine(Noise::kQuiet, 4);
  SessionOptions options;
  options.iterations = 70;
  const Runnable against = machine.workload(1e6);
  const Session session =
      run_session(machine.workload(1e6), &against, 1, options, machine.conduct());
  CHECK(session.candidate->summary.n == 70);
  CHECK(session.against->summary.n == 70);
  CHECK(session.comparison->looks == 1);
  CHECK(session.comparison->pairs == 14);
}

TEST_CASE("an interrupt keeps what was measured") {
  SimulatedMachine machine(Noise::kQuiet, 5);
  Conduct conduct = machine.conduct();
  std::vector<std::string> phases;
  const auto phase = [&](std::string_view name) { phases.emplace_back(name); };
  conduct.interrupted = [&] { return phases.size() > 2; };
  const Runnable against = machine.workload(1e6);
  const Session session = run_session(machine.workload(1e6), &against, 1, {}, conduct, phase);
  CHECK(session.interrupted);
  CHECK(session.candidate);
  CHECK_FALSE(session.against);
  CHECK_FALSE(session.comparison);
  CHECK(phases == std::vector<std::string>{"warming up", "measuring", "warming up"});
}

}  // namespace
}  // namespace lathe
