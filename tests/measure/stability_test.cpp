#include "statistics/stability.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "simulated_machine.h"

namespace lathe {
namespace {

std::vector<std::string> codes(std::span<const double> values, const Disturbance& disturbance) {
  std::vector<std::string> found;
  for (const StabilityFinding& finding : stability_findings(values, summarize(values), disturbance))
    found.push_back(finding.code);
  return found;
}

std::vector<double> measure(Noise noise, double ns, size_t n) {
  SimulatedMachine machine(noise, 3);
  SamplingOptions options;
  options.iterations = n;
  options.max_ns = INT64_MAX;
  return take_samples(machine.workload(ns), options, machine.conduct()).latency_ns;
}

TEST_CASE("a quiet machine is not suspected") {
  CHECK(codes(measure(Noise::kQuiet, 1e6, 1000), {0.0, 0.05}).empty());
  CHECK(codes(std::vector<double>{5, 5, 5}, {}).empty());
}

TEST_CASE("drift, two levels and a busy machine are told, each once") {
  // 1e-10 a nanosecond: 2 s of work end 20 % slower.
  const auto drifting = codes(measure(Noise::kDrifting, 1e6, 2000), {});
  CHECK(std::count(drifting.begin(), drifting.end(), "bench.drift") == 1);
  const auto bimodal = codes(measure(Noise::kBimodal, 1e6, 4000), {});
  CHECK(std::count(bimodal.begin(), bimodal.end(), "bench.bimodal") == 1);
  const auto busy = codes(measure(Noise::kQuiet, 1e6, 1000), {0.2, 0.6});
  CHECK(busy == std::vector<std::string>{"bench.contention"});
}

TEST_CASE("a median far above the minimum is contention even where the system tells nothing") {
  std::vector<double> values(100, 2e6);
  for (size_t i = 0; i < 5; ++i) values[i * 17] = 1e6;
  CHECK(codes(values, {}) == std::vector<std::string>{"bench.contention"});
}

}  // namespace
}  // namespace lathe
