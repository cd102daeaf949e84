#include <doctest/doctest.h>

#include <atomic>
#include <cmath>

#include "ir/error.h"
#include "load/find_peak.h"
#include "load/over_limit.h"
#include "queueing_theory.h"
#include "simulated_server.h"
#include "statistics/random.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

// A simulated server with a constant service time whose trials take simulated time.
struct SimulatedServer {
  Arrival arrival = Arrival::kPoisson;
  int64_t now = 0;

  LoadTrial trial() {
    return [this](const LoadRequest& request) {
      OpenLoopOptions options;
      options.slo_ns = request.slo_ns;
      options.max_ns = request.max_ns;
      const auto due = schedule_arrivals(
          {arrival, request.rate_per_s, request.queries, 3'600'000'000'000, request.seed});
      OpenLoopResult r = simulate_open_loop(
          due, [](size_t, size_t) { return kService_ns; }, options);
      now += r.time_ns;
      return r;
    };
  }
  Conduct conduct() {
    Conduct conduct;
    conduct.clock = [this] { return now; };
    return conduct;
  }
};

PeakSearchOptions usual() {
  PeakSearchOptions options;
  options.slo_ns = 6 * kService_ns;
  options.first_rate_per_s = 100;
  options.max_ns = 3'600'000'000'000;
  return options;
}

TEST_CASE("the bounds are LoadGen's") {
  CHECK_FALSE(most_over_limit(458, 0.99, 0.99));
  CHECK(most_over_limit(459, 0.99, 0.99) == 0u);
  for (const double p : {0.95, 0.99, 0.999}) {
    CHECK(most_over_limit(samples_needed(p), p, 0.99) == 1u);
    CHECK(most_over_limit(samples_needed(p) - 1, p, 0.99) == 0u);
  }
  // Binomial(10, 0.1): P(X >= 4) = 0.0128, P(X >= 5) = 0.0016.
  CHECK(fewest_over_limit(10, 0.9, 0.99) == 5);
  CHECK(fewest_over_limit(10, 0.9, 0.98) == 4);
  CHECK(fewest_over_limit(1, 0.9, 0.99) == 2);
  // Far from the middle of a million both are where the normal law puts them: 10000 +- 2.326 sd.
  const double sd = std::sqrt(1e6 * 0.01 * 0.99);
  CHECK(static_cast<double>(*most_over_limit(1'000'000, 0.99, 0.99)) ==
        doctest::Approx(1e4 - 2.326 * sd).epsilon(0.001));
  CHECK(static_cast<double>(fewest_over_limit(1'000'000, 0.99, 0.99)) ==
        doctest::Approx(1e4 + 2.326 * sd).epsilon(0.001));
}

TEST_CASE("clustering is one for independent queries and their number for repeated ones") {
  BenchRandom random(1);
  std::vector<double> independent;
  std::vector<double> repeated;
  for (size_t i = 0; i < 20'000; ++i) {
    independent.push_back(random.unit());
    for (int k = 0; k < 8; ++k) repeated.push_back(independent.back());
  }
  CHECK(clustering(independent, 0.99, 0.99) < 1.7);
  CHECK(clustering(repeated, 0.99, 0.99) == doctest::Approx(8).epsilon(0.5));
  CHECK(clustering(repeated, 2, 0.99) > 4);  // none is over the limit: a lower one stands in
  CHECK(clustering(std::vector<double>(1000, 1.0), 0.5, 0.99) == 1);
  CHECK(clustering({1, 2, 3}, 0.5, 0.99) == 1);
}

TEST_CASE("the peak of M/D/1 is where theory puts its p99") {
  const double theory = 1000 * md1_utilisation(0.99, 5);  // one service more is the limit
  SimulatedServer server;
  PeakSearchOptions options = usual();
  options.queries = 50'000;
  const Peak peak = find_peak(server.trial(), options, server.conduct());
  CHECK(peak.stop == PeakStop::kResolved);
  REQUIRE(peak.rate_per_s);
  REQUIRE(peak.failed_rate_per_s);
  MESSAGE("peak " << *peak.rate_per_s << "/s, failed " << *peak.failed_rate_per_s << "/s, "
                  << peak.trials.size() << " trials, theory " << theory << "/s");
  CHECK(*peak.rate_per_s > 0.93 * theory);
  CHECK(*peak.rate_per_s < theory);
  CHECK(*peak.failed_rate_per_s <= *peak.rate_per_s * 1.05);
  for (const PeakTrial& t : peak.trials) {
    CHECK((t.verdict == TrialVerdict::kMet) <= (t.rate_per_s <= *peak.rate_per_s));
    if (t.verdict == TrialVerdict::kMet) CHECK(*t.latency_ns <= 6.0 * kService_ns);
  }
}

TEST_CASE("the search promises no more than theory has, also with few queries") {
  const double theory = 1000 * md1_utilisation(0.99, 5);
  size_t bold = 0;
  std::vector<double> found;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SimulatedServer server;
    PeakSearchOptions options = usual();
    options.seed = seed;
    const Peak peak = find_peak(server.trial(), options, server.conduct());
    REQUIRE(peak.rate_per_s);
    found.push_back(*peak.rate_per_s / theory);
    if (*peak.rate_per_s > theory) ++bold;
  }
  MESSAGE(bold << " of 100 searches found more than theory has, half of them at least "
               << median(found) << " of it");
  CHECK(median(found) > 0.75);
  CHECK(bold <= 2);  // one in five if late queries counted as independent
}

TEST_CASE("a loose limit does not let an overloaded server pass because the trial was short") {
  SimulatedServer server{Arrival::kConstant};
  PeakSearchOptions options = usual();
  options.slo_ns = 100 * kService_ns;  // 1324 queries at 1.05 times capacity stay within it
  options.resolution = 0.01;
  const Peak peak = find_peak(server.trial(), options, server.conduct());
  CHECK(peak.stop == PeakStop::kResolved);
  REQUIRE(peak.rate_per_s);
  CHECK(*peak.rate_per_s > 990);
  CHECK(*peak.rate_per_s <= 1000);
}

TEST_CASE("the search ends at its bounds and says at which") {
  SimulatedServer server;
  PeakSearchOptions options = usual();
  options.max_rate_per_s = 300;
  const Peak fast = find_peak(server.trial(), options, server.conduct());
  CHECK(peak_stop_name(fast.stop) == "never_missed");
  CHECK(fast.rate_per_s == 300.0);
  CHECK_FALSE(fast.failed_rate_per_s);

  options = usual();
  options.slo_ns = kService_ns / 2;
  options.min_rate_per_s = 20;
  const Peak slow = find_peak(server.trial(), options, server.conduct());
  CHECK(peak_stop_name(slow.stop) == "never_met");
  CHECK_FALSE(slow.rate_per_s);
  CHECK(slow.failed_rate_per_s == 20.0);
  CHECK(trial_verdict_name(slow.trials.front().verdict) == "missed");

  options = usual();
  options.max_trials = 2;
  const Peak few = find_peak(server.trial(), options, server.conduct());
  CHECK(few.stop == PeakStop::kMaxTrials);
  CHECK(few.trials.size() == 2);
  CHECK(few.rate_per_s == 200.0);

  options = usual();
  options.max_ns = 20'000'000'000;
  const int64_t before = server.now;
  const Peak hurried = find_peak(server.trial(), options, server.conduct());
  CHECK(hurried.stop == PeakStop::kMaxTime);
  CHECK(server.now - before < 21'000'000'000);
  CHECK_FALSE(hurried.trials.empty());

  Conduct conduct = server.conduct();
  size_t asked = 0;
  conduct.interrupted = [&] { return ++asked == 3; };
  const Peak cut = find_peak(server.trial(), usual(), conduct);
  CHECK(peak_stop_name(cut.stop) == "interrupted");
  CHECK(cut.trials.size() == 2);
}

TEST_CASE("a search without sense is refused") {
  SimulatedServer server;
  const auto rejects = [&](auto change) {
    PeakSearchOptions options = usual();
    change(options);
    CHECK_THROWS_AS(find_peak(server.trial(), options), Error);
  };
  rejects([](PeakSearchOptions& o) { o.slo_ns = 0; });
  rejects([](PeakSearchOptions& o) { o.percentile = 1; });
  rejects([](PeakSearchOptions& o) { o.confidence = std::nan(""); });
  rejects([](PeakSearchOptions& o) { o.first_rate_per_s = 0; });
  rejects([](PeakSearchOptions& o) { o.max_rate_per_s = 1e10; });
  rejects([](PeakSearchOptions& o) { o.resolution = 0; });
}

TEST_CASE("server_trial runs the real server") {
  std::atomic<size_t> served = 0;
  const LoadTrial trial = server_trial([&](size_t, size_t, size_t count) { served += count; },
                                       Arrival::kConstant, {}, {});
  const OpenLoopResult r = trial({1e6, 500, 1, 1'000'000'000'000, 60'000'000'000});
  CHECK(r.completed == 500);
  CHECK(served == 501);  // one to warm up
  CHECK(r.judged == 500);
  CHECK(r.over_slo == 0u);
}

}  // namespace
}  // namespace lathe
