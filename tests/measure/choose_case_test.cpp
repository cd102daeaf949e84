#include "gates/choose_case.h"

#include <doctest/doctest.h>

#include "statistics/processes.h"
#include "statistics/random.h"

namespace lathe {
namespace {

GateCase measured(const std::string& id, double p95, double size) {
  GateCase one;
  one.id = id;
  one.inputs.candidate["p95"] = {p95, Interval{0.99 * p95, 1.01 * p95}, {}};
  one.inputs.candidate["size"] = {size, std::nullopt, {}};
  return one;
}

TEST_CASE("the Pareto front keeps what nothing beats") {
  const std::vector<Costs> rows{{1.0, 5.0}, {2.0, 4.0},          {2.0, 5.0},
                                {1.0, 5.0}, {std::nullopt, 3.0}, {std::nullopt, {}}};
  CHECK(pareto_front(rows) == std::vector<bool>{true, true, false, true, true, false});
}

TEST_CASE("the recommended case passes the gates and has the least of the metric") {
  std::vector<GateCase> cases{measured("a", 10e6, 900), measured("b", 40e6, 300),
                              measured("c", 60e6, 100)};
  const std::vector<Gate> gates{parse_gate("p95 <= 50ms")};
  CHECK(recommend_case(cases, gates, "size") == 1);
  CHECK(recommend_case(cases, gates, "p95") == 0);
  CHECK(recommend_case(cases, gates, "size", true) == 0);
  cases[1].failure = "exit 8";
  CHECK(recommend_case(cases, gates, "size") == 0);
  CHECK_FALSE(recommend_case(cases, std::vector{parse_gate("p95 < 1ms")}, "size"));
  CHECK_FALSE(recommend_case(cases, gates, "arena"));
  cases.push_back(measured("d", 20e6, 900));
  cases[0].inputs.candidate["median"] = {9e6, std::nullopt, {}};
  cases[3].inputs.candidate["median"] = {8e6, std::nullopt, {}};
  CHECK(recommend_case(cases, gates, "size") == 3);  // as large as the first, and faster
}

TEST_CASE("the optimal batch is the smallest of those with the least time per item") {
  const std::vector<BatchTime> times{{1, 10}, {2, 12}, {4, 20}, {8, 39.9}, {16, 100}};
  CHECK(optimal_batch(times) == 4);
  CHECK(optimal_batch(times, 0) == 8);
  CHECK_FALSE(optimal_batch({}));
}

TEST_CASE("samples of several processes are pooled, and their spread is shown") {
  BenchRandom random(1);
  std::vector<std::vector<double>> processes(3);
  for (size_t p = 0; p < 3; ++p)
    for (int i = 0; i < 200; ++i)
      processes[p].push_back(100 + 10 * static_cast<double>(p) + random.unit());
  const PooledSummary pooled = summarize_processes(processes);
  CHECK(pooled.summary.n == 600);
  REQUIRE(pooled.spread);
  CHECK(*pooled.spread == doctest::Approx(20.0 / 110.5).epsilon(0.02));
  REQUIRE(pooled.summary.median.ci95);
  CHECK(pooled.summary.median.ci95->low < 101);
  CHECK(pooled.summary.median.ci95->high > 119);
  CHECK(*pooled.summary.drift == doctest::Approx(0).epsilon(0.01));
  CHECK(pooled.summary.percentiles[2].value.has_value());  // p95 from the pool
  CHECK_FALSE(summarize_processes({processes[0]}).spread);
}

}  // namespace
}  // namespace lathe
