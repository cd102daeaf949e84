#include "statistics/sampling.h"

#include <doctest/doctest.h>

#include <cmath>

#include "simulated_machine.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

TEST_CASE("warm_up waits until a start-up slowness is over") {
  SimulatedMachine machine(Noise::kQuiet, 1);
  const Runnable cooling = [&](size_t i) {
    machine.workload(1e6 * (1 + 10 * std::exp(-static_cast<double>(i) / 150)))(i);
  };
  const WarmUp w = warm_up(cooling, {}, machine.conduct());
  CHECK(w.converged);
  CHECK(w.stop_reason == StopReason::kConverged);
  CHECK(w.iterations > 600);
  CHECK(w.last_median_ns == doctest::Approx(1e6).epsilon(0.05));
}

TEST_CASE("warm_up takes five iterations of a slow model and half a second of a fast one") {
  SimulatedMachine slow(Noise::kQuiet, 2);
  const WarmUp few = warm_up(slow.workload(2e8), {}, slow.conduct());
  CHECK(few.iterations >= 5);
  CHECK(few.iterations < 20);
  SimulatedMachine fast(Noise::kQuiet, 3);
  const WarmUp many = warm_up(fast.workload(1e5), {}, fast.conduct());
  CHECK(many.time_ns >= 500'000'000);
  CHECK(many.converged);
}

TEST_CASE("warm_up gives up at its cap and says so") {
  SimulatedMachine machine(Noise::kQuiet, 4);
  double cost = 1e6;
  const WarmUp w = warm_up(
      [&](size_t i) {
        cost *= 1.01;
        machine.workload(cost)(i);
      },
      {}, machine.conduct());
  CHECK_FALSE(w.converged);
  CHECK(w.stop_reason == StopReason::kMaxTime);
}

TEST_CASE("take_samples stops when precise enough, and not before enough samples") {
  SimulatedMachine machine(Noise::kQuiet, 5);
  SamplingOptions options;
  const Samples usual = take_samples(machine.workload(1e6), options, machine.conduct());
  CHECK(usual.stop_reason == StopReason::kConverged);
  CHECK(usual.time_ns >= options.min_ns);
  options.enough_samples = samples_needed(0.999);
  const Samples tail = take_samples(machine.workload(1e5), options, machine.conduct());
  CHECK(tail.latency_ns.size() >= 6636);
  CHECK(summarize(tail.latency_ns).percentiles.back().value.has_value());
}

TEST_CASE("take_samples says which limit ended it") {
  SimulatedMachine machine(Noise::kQuiet, 6);
  SamplingOptions options;
  options.iterations = 17;
  const Samples fixed = take_samples(machine.workload(1e6), options, machine.conduct());
  CHECK(fixed.latency_ns.size() == 17);
  CHECK(fixed.stop_reason == StopReason::kIterations);

  options = {};
  options.max_ns = 3'000'000'000;
  const Samples slow = take_samples(machine.workload(1e9), options, machine.conduct());
  CHECK(slow.latency_ns.size() == 3);
  CHECK(stop_reason_name(slow.stop_reason) == "max_time");

  options.max_ns = 1;  // one sample all the same
  CHECK(take_samples(machine.workload(1e9), options, machine.conduct()).latency_ns.size() == 1);

  Conduct conduct = machine.conduct();
  size_t asked = 0;
  conduct.interrupted = [&] { return ++asked == 10; };
  const Samples cut = take_samples(machine.workload(1e6), {}, conduct);
  CHECK(cut.latency_ns.size() == 10);
  CHECK(cut.stop_reason == StopReason::kInterrupted);
}

TEST_CASE("autocorrelated noise makes sampling go on for longer") {
  SamplingOptions options;
  options.min_ns = 0;
  SimulatedMachine quiet(Noise::kQuiet, 8);
  SimulatedMachine busy(Noise::kAutocorrelated, 8);
  const Samples few = take_samples(quiet.workload(1e6), options, quiet.conduct());
  const Samples many = take_samples(busy.workload(1e6), options, busy.conduct());
  CHECK(many.latency_ns.size() > 4 * few.latency_ns.size());
}

TEST_CASE("throughput is items over the median latency") {
  Samples samples;
  samples.latency_ns.assign(100, 2e6);
  const Estimate t = throughput(summarize(samples.latency_ns), 8);
  CHECK(t.value == doctest::Approx(4000));
  CHECK(t.ci95);
  samples.latency_ns.assign(3, 0.0);
  const Estimate coarse = throughput(summarize(samples.latency_ns), 1);
  CHECK(coarse.value == doctest::Approx(1e9));
  CHECK_FALSE(coarse.ci95);
}

}  // namespace
}  // namespace lathe
