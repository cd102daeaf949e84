#include <doctest/doctest.h>

#include <cmath>

#include "simulated_machine.h"
#include "statistics/random.h"
#include "statistics/sampling.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

std::vector<double> measure_seeded(Noise noise, uint64_t seed, size_t n) {
  SimulatedMachine machine(noise, seed);
  SamplingOptions options;
  options.iterations = n;
  options.max_ns = INT64_MAX;
  return take_samples(machine.workload(1e6), options, machine.conduct()).latency_ns;
}

TEST_CASE("a machine that jumps between two speeds is seen, others are not") {
  int found = 0;
  int quiet = 0;
  int correlated = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto modes = two_modes(measure_seeded(Noise::kBimodal, seed, 4000));
    if (modes) {
      ++found;
      CHECK(modes->high / modes->low == doctest::Approx(1.6).epsilon(0.05));
    }
    quiet += two_modes(measure_seeded(Noise::kQuiet, seed, 4000)).has_value();
    correlated += two_modes(measure_seeded(Noise::kAutocorrelated, seed, 4000)).has_value();
  }
  CHECK(found >= 18);
  CHECK(quiet == 0);
  CHECK(correlated == 0);
}

TEST_CASE("distributions with one peak have one mode") {
  BenchRandom random(7);
  std::vector<double> uniform;
  std::vector<double> exponential;
  for (int i = 0; i < 3000; ++i) {
    uniform.push_back(1 + random.unit());
    exponential.push_back(1 - std::log(1 - random.unit()));
  }
  CHECK_FALSE(two_modes(uniform));
  CHECK_FALSE(two_modes(exponential));
  CHECK_FALSE(two_modes(std::vector<double>(100, 5.0)));
}

TEST_CASE("few values, rare outliers and levels close together are no two modes") {
  std::vector<double> values(100, 1.0);
  for (size_t i = 0; i < values.size(); ++i) values[i] += 1e-4 * static_cast<double>(i % 7);
  CHECK_FALSE(two_modes(std::span(values).first(20)));
  for (size_t i = 0; i < 5; ++i) values[20 * i] = 3;
  CHECK_FALSE(two_modes(values));
  for (size_t i = 0; i < 40; ++i) values[i] = 1.03;
  CHECK_FALSE(two_modes(values));
  for (size_t i = 0; i < 40; ++i) values[i] = 1.5;
  const auto modes = two_modes(values);
  REQUIRE(modes);
  CHECK(modes->high_share > 0.35);
}

}  // namespace
}  // namespace lathe
