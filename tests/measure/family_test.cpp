#include "comparison/family.h"

#include <doctest/doctest.h>

#include <cmath>

#include "simulated_stream.h"

namespace lathe {
namespace {

FamilyCase regressed(const std::string& id, double p) {
  FamilyCase one;
  one.id = id;
  one.verdict = ComparisonVerdict::kRegressed;
  one.p_regressed = p;
  return one;
}

FamilyCase undecided(const std::string& id) {
  FamilyCase one;
  one.id = id;
  return one;
}

FamilyCase simulated(const std::string& id, double ratio, uint64_t seed) {
  SimulatedStream stream(Stream::kIndependent, std::log(ratio), seed);
  FamilyCase one;
  one.id = id;
  for (size_t i = 0; i < 5; ++i) one.log_ratios.push_back(stream.process(i, 40).log_ratios);
  return one;
}

TEST_CASE("Holm's adjusted p values") {
  // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
  const std::vector<double> adjusted = holm_adjusted({0.01, 0.04, 0.03, 0.005});
  REQUIRE(adjusted.size() == 4);
  CHECK(adjusted[0] == doctest::Approx(0.03));
  CHECK(adjusted[1] == doctest::Approx(0.06));
  CHECK(adjusted[2] == doctest::Approx(0.06));
  CHECK(adjusted[3] == doctest::Approx(0.02));
  CHECK(holm_adjusted({}).empty());
}

TEST_CASE("a regression that is one of many needs a smaller p") {
  std::vector<FamilyCase> cases = {regressed("batch=1", 0.02)};
  CHECK(judge_family(cases).members[0].verdict == ComparisonVerdict::kRegressed);
  for (int i = 2; i < 6; ++i) cases.push_back(undecided("batch=" + std::to_string(i)));
  const Family many = judge_family(cases);
  CHECK(many.members[0].verdict == ComparisonVerdict::kInconclusive);
  CHECK(many.members[0].p_regressed == doctest::Approx(0.10));
  CHECK(many.members[0].note.find("not among all gated cases") != std::string::npos);
  SUBCASE("cases without a gate do not count") {
    for (size_t i = 1; i < cases.size(); ++i) cases[i].gated = false;
    const Family gated = judge_family(cases);
    CHECK(gated.members[0].verdict == ComparisonVerdict::kRegressed);
  }
}

TEST_CASE("the geometric mean is that of the ratios, its interval narrower than each one's") {
  const std::vector<FamilyCase> cases = {simulated("a", 1.0, 1), simulated("b", 1.1, 2),
                                         simulated("c", 0.8, 3), undecided("without pairs")};
  const Family family = judge_family(cases);
  REQUIRE(family.geometric_mean.has_value());
  const double truth = std::cbrt(1.0 * 1.1 * 0.8);
  CHECK(family.geometric_mean->cases == 3);
  CHECK(family.geometric_mean->ratio == doctest::Approx(truth).epsilon(0.01));
  CHECK(family.geometric_mean->interval.low < truth);
  CHECK(family.geometric_mean->interval.high > truth);
  const Interval one = estimate_interval(estimate_location(cases[0].log_ratios), 0.95);
  CHECK(family.geometric_mean->interval.high - family.geometric_mean->interval.low <
        one.high - one.low);
  CHECK_FALSE(judge_family({undecided("without pairs")}).geometric_mean.has_value());
}

}  // namespace
}  // namespace lathe
