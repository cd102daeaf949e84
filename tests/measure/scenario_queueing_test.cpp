// The simulated server against queueing theory, and the rules that it shares with the threaded one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"
#include "load/arrival.h"
#include "load/open_loop.h"
#include "queueing_theory.h"
#include "simulated_server.h"
#include "statistics/random.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double sorted_quantile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  return quantile(values, p);
}

OpenLoopOptions unlimited(size_t workers = 1) {
  OpenLoopOptions options;
  options.workers = workers;
  options.max_ns = 1'000'000'000'000'000;
  return options;
}

std::vector<int64_t> poisson(double utilisation, size_t queries, uint64_t seed) {
  return schedule_arrivals(
      {Arrival::kPoisson, utilisation * 1e9 / kService_ns, queries, 1'000'000'000'000'000, seed});
}

OpenLoopResult constant_service(const std::vector<int64_t>& due, const OpenLoopOptions& options) {
  return simulate_open_loop(
      due, [](size_t, size_t) { return kService_ns; }, options);
}

TEST_CASE("Poisson arrivals have the rate and the spread of gaps that they are asked for") {
  const std::vector<int64_t> due = poisson(0.5, 200'000, 1);
  REQUIRE(due.size() == 200'000);
  CHECK(due.front() == 0);
  std::vector<double> gaps;
  for (size_t i = 1; i < due.size(); ++i) gaps.push_back(static_cast<double>(due[i] - due[i - 1]));
  const Summary s = summarize(gaps);
  CHECK(s.mean == doctest::Approx(2e6).epsilon(0.01));
  CHECK(*s.cv == doctest::Approx(1).epsilon(0.01));
  CHECK(s.median.value == doctest::Approx(2e6 * std::log(2)).epsilon(0.01));
  CHECK(std::fabs(s.autocorrelation_lag1) < 0.01);
  CHECK(poisson(0.5, 1000, 1) == poisson(0.5, 1000, 1));
  CHECK(poisson(0.5, 1000, 1) != poisson(0.5, 1000, 2));
}

TEST_CASE("a schedule ends with its count or its time, and bad ones are refused") {
  ArrivalOptions options{Arrival::kConstant, 3, 1000, 2'000'000'000, 0};
  const std::vector<int64_t> due = schedule_arrivals(options);
  CHECK(due == std::vector<int64_t>{0, 333'333'333, 666'666'666, 1'000'000'000, 1'333'333'333,
                                    1'666'666'666});
  options.rate_per_s = 1e-300;  // the next one is due after 1e309 ns
  CHECK(schedule_arrivals(options).size() == 1);
  for (const double rate : {0.0, -1.0, std::nan(""), 2e9}) {
    options.rate_per_s = rate;
    CHECK_THROWS_AS(schedule_arrivals(options), Error);
  }
  CHECK_THROWS_AS(schedule_at_once(0), Error);
  CHECK_THROWS_AS(schedule_at_once(kMaxQueries + 1), Error);
  CHECK(parse_arrival("poisson") == Arrival::kPoisson);
  CHECK_FALSE(parse_arrival("uniform"));
}

TEST_CASE("M/D/1: the mean wait is Pollaczek and Khinchine's") {
  for (const double rho : {0.3, 0.6, 0.9}) {
    const uint64_t runs = rho > 0.8 ? 8 : 1;  // long queues forget slowly
    double wait = 0;
    for (uint64_t seed = 0; seed < runs; ++seed) {
      const OpenLoopResult r = constant_service(poisson(rho, 1'000'000, seed), unlimited());
      wait += mean(r.wait_ns) / static_cast<double>(runs);
      CHECK(r.caught_up);
      CHECK(r.busy_share == doctest::Approx(rho).epsilon(0.01));
      // Arrivals see time averages: a share rho of them finds the worker busy.
      CHECK(static_cast<double>(r.queued) / 1e6 == doctest::Approx(rho).epsilon(0.01));
    }
    const double theory = md1_mean_wait(rho) * kService_ns;
    MESSAGE("rho " << rho << ": mean wait " << wait / 1e6 << " ms, theory " << theory / 1e6);
    CHECK(wait == doctest::Approx(theory).epsilon(0.03));
  }
}

TEST_CASE("M/D/1: the p99 is that of the exact distribution") {
  for (const double rho : {0.3, 0.6, 0.8}) {
    const OpenLoopResult r = constant_service(poisson(rho, 1'000'000, 7), unlimited());
    const double p99 = sorted_quantile(r.latency_ns, 0.99);
    const double theory = (1 + md1_wait_quantile(0.99, rho)) * kService_ns;
    MESSAGE("rho " << rho << ": p99 " << p99 / 1e6 << " ms, theory " << theory / 1e6);
    CHECK(p99 == doctest::Approx(theory).epsilon(0.04));
  }
}

TEST_CASE("M/M/c: the mean wait is Erlang's") {
  for (const size_t workers : {1, 2, 4}) {
    const double rho = 0.7;
    BenchRandom random(3);
    const ServiceTime exponential = [&](size_t, size_t) {
      return static_cast<int64_t>(-std::log1p(-random.unit()) * kService_ns);
    };
    double wait = 0;
    for (uint64_t seed = 10; seed < 13; ++seed) {
      const auto due = poisson(rho * static_cast<double>(workers), 1'000'000, seed);
      wait += mean(simulate_open_loop(due, exponential, unlimited(workers)).wait_ns) / 3;
    }
    const double theory = mmc_mean_wait(workers, rho) * kService_ns;
    MESSAGE("c " << workers << ": mean wait " << wait / 1e6 << " ms, theory " << theory / 1e6);
    CHECK(wait == doctest::Approx(theory).epsilon(0.03));
  }
}

TEST_CASE("D/D/1: nobody waits below capacity; above it latency grows by the same step each time") {
  const auto due_each = [](int64_t gap_ns, size_t n) {
    return schedule_arrivals({Arrival::kConstant, 1e9 / static_cast<double>(gap_ns), n});
  };
  const OpenLoopResult idle = constant_service(due_each(1'250'000, 1000), unlimited());
  CHECK(idle.queued == 0);
  CHECK(idle.max_backlog == 0);
  CHECK(*std::max_element(idle.latency_ns.begin(), idle.latency_ns.end()) == kService_ns);
  const OpenLoopResult over = constant_service(due_each(500'000, 1000), unlimited());
  REQUIRE(over.latency_ns.size() == 1000);
  for (size_t i = 0; i < 1000; ++i) {
    CHECK(over.latency_ns[i] == static_cast<double>(kService_ns + 500'000 * i));
  }
  CHECK(over.max_backlog == 500);
  CHECK_FALSE(over.caught_up);
  CHECK(over.busy_share == doctest::Approx(1));
  CHECK(over.throughput_per_s == doctest::Approx(1000));
}

TEST_CASE("under overload the p99 grows with the backlog") {
  double previous = 0;
  for (const size_t n : {10'000, 20'000, 40'000, 80'000}) {
    OpenLoopOptions options = unlimited();
    options.slo_ns = 50 * kService_ns;
    const OpenLoopResult r = constant_service(poisson(1.25, n, 5), options);
    const double p99 = sorted_quantile(r.latency_ns, 0.99);
    // One in five stays in the queue, and each that waits costs one service time.
    CHECK(static_cast<double>(r.max_backlog) ==
          doctest::Approx(0.2 * static_cast<double>(n)).epsilon(0.1));
    CHECK(p99 == doctest::Approx(static_cast<double>(r.max_backlog) * kService_ns).epsilon(0.03));
    if (previous > 0) CHECK(p99 / previous == doctest::Approx(2).epsilon(0.1));
    previous = p99;
    CHECK_FALSE(r.caught_up);
    CHECK(*r.goodput_per_s < 0.1 * r.throughput_per_s);
    CHECK(*r.over_slo > 9 * n / 10);
    CHECK(r.backlog.size() == 100);
    CHECK(r.backlog.back().waiting > 4 * r.backlog[20].waiting);
  }
}

TEST_CASE("a run cut short counts what it left") {
  OpenLoopOptions options = unlimited();
  options.max_ns = 100 * kService_ns;
  options.slo_ns = 10 * kService_ns;
  const auto due = schedule_arrivals({Arrival::kConstant, 2e9 / kService_ns, 1000});
  const OpenLoopResult r = constant_service(due, options);
  CHECK(load_stop_name(r.stop) == "max_time");
  CHECK(r.completed == 101);  // the last one started at 100 ms sharp
  CHECK(r.issued == 203);     // due at 0, 0.5, …, 101 ms
  CHECK(r.left_waiting == 102);
  // Latencies 1, 1.5, 2, … ms: 19 stay within 10 ms. Of those that wait, due from 50.5 to 101 ms,
  // the ones due before 91 ms are past the limit as well.
  CHECK(*r.over_slo == 101 - 19 + 81);
  CHECK(r.judged == 101 + 81);
  CHECK(*r.goodput_per_s == doctest::Approx(19 / 0.101));
}

TEST_CASE("batches wait for their size or their delay, and under overload they are full") {
  const auto due = schedule_arrivals({Arrival::kConstant, 1000, 4000});
  OpenLoopOptions options = unlimited();
  options.batch = {4, 1'000'000'000};
  const ServiceTime half = [](size_t, size_t) { return 500'000; };
  const OpenLoopResult full = simulate_open_loop(due, half, options);
  CHECK(full.service_ns.size() == 1000);
  for (size_t i = 0; i < 4; ++i) CHECK(full.wait_ns[i] == 3e6 - 1e6 * static_cast<double>(i));
  options.batch = {4, 1'500'000};
  const OpenLoopResult pairs = simulate_open_loop(due, half, options);
  CHECK(pairs.service_ns.size() == 2000);
  CHECK(pairs.wait_ns[0] == 1.5e6);
  CHECK(pairs.wait_ns[1] == 0.5e6);
  options.batch = {4, 0};
  CHECK(simulate_open_loop(due, half, options).service_ns.size() == 4000);
  // Ten times slower than one query a batch could bear: batches of four keep up, in full.
  const ServiceTime slow = [](size_t, size_t) { return 3'900'000; };
  const OpenLoopResult busy = simulate_open_loop(due, slow, options);
  CHECK(busy.throughput_per_s == doctest::Approx(1000).epsilon(0.01));
  CHECK(busy.max_backlog <= 8);
  options.batch = {1, 0};
  CHECK(simulate_open_loop(due, slow, options).throughput_per_s == doctest::Approx(1e9 / 3.9e6));
}

TEST_CASE("offline: everything is due at once, throughput is items over time") {
  OpenLoopOptions options = unlimited(2);
  options.batch.max_batch = 8;
  std::vector<size_t> counts;
  const ServiceTime service = [&](size_t, size_t count) {
    counts.push_back(count);
    return static_cast<int64_t>(count) * 1'000'000;
  };
  const OpenLoopResult r = simulate_open_loop(schedule_at_once(100), service, options);
  CHECK(counts.size() == 13);
  CHECK(counts.back() == 4);
  CHECK(r.completed == 100);
  CHECK(r.time_ns == 52'000'000);  // six times eight, then eight against four
  CHECK(r.throughput_per_s == doctest::Approx(100 / 0.052));
}

TEST_CASE("options that no run can obey are refused") {
  const auto due = schedule_at_once(3);
  OpenLoopOptions options;
  options.workers = 0;
  CHECK_THROWS_AS(constant_service(due, options), Error);
  options.workers = 100'000;
  CHECK_THROWS_AS(constant_service(due, options), Error);
  options = {};
  options.batch.max_batch = 0;
  CHECK_THROWS_AS(constant_service(due, options), Error);
  options = {};
  CHECK_THROWS_AS(constant_service({}, options), InternalError);
  CHECK_THROWS_AS(constant_service({5, 3}, options), InternalError);
  CHECK_THROWS_AS(simulate_open_loop(
                      due, [](size_t, size_t) { return -1; }, options),
                  InternalError);
}

}  // namespace
}  // namespace lathe
