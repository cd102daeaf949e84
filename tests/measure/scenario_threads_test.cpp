// The threaded scenarios on work that keeps a CPU busy. Bounds hold on a machine of any speed and
// load: work takes at least as long as it says, and nothing is said about how much longer.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "ir/error.h"
#include "load/arrival.h"
#include "load/open_loop.h"
#include "load/scenario.h"
#include "load/streams.h"
#include "load/workers.h"

namespace lathe {
namespace {

void work_for(int64_t ns) {
  const int64_t end = now_ns() + ns;
  while (now_ns() < end) {
  }
}

TEST_CASE("every query is run once, by any number of workers, and latency counts from when due") {
  for (const size_t workers : {1, 2, 5}) {
    const auto due = schedule_arrivals({Arrival::kPoisson, 20'000, 500, 1'000'000'000, 4});
    std::vector<std::atomic<int>> runs(due.size());
    std::atomic<size_t> odd_worker = 0;
    OpenLoopOptions options;
    options.workers = workers;
    options.warm_up = 0;
    options.slo_ns = 3'600'000'000'000;
    const OpenLoopResult r = run_open_loop(
        due,
        [&](size_t worker, size_t first, size_t count) {
          if (worker >= workers || count != 1) ++odd_worker;
          ++runs[first];
          work_for(20'000);
        },
        options);
    CHECK(odd_worker == 0);
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& n) { return n == 1; }));
    CHECK(r.stop == LoadStop::kServedAll);
    CHECK(r.completed == 500);
    CHECK(r.issued == 500);
    CHECK(r.left_waiting == 0);
    CHECK(r.over_slo == 0u);
    CHECK(r.time_ns >= due.back() + 20'000);
    for (size_t i = 0; i < 500; ++i) {
      CHECK(r.wait_ns[i] >= 0);
      CHECK(r.latency_ns[i] >= r.wait_ns[i] + 20'000);
    }
    CHECK(r.busy_share <= 1);
  }
}

TEST_CASE("a server twice overloaded: latency grows with each query, as in theory") {
  const auto due = schedule_arrivals({Arrival::kConstant, 1000, 60});
  OpenLoopOptions options;
  options.slo_ns = 2'500'000;
  const OpenLoopResult r = run_open_loop(
      due, [](size_t, size_t, size_t) { work_for(2'000'000); }, options);
  REQUIRE(r.completed == 60);
  for (size_t i = 0; i < 60; ++i) {
    CHECK(r.latency_ns[i] >= 2e6 + 1e6 * static_cast<double>(i) - 1e3);
  }
  CHECK(r.max_backlog >= 29);
  CHECK(*r.over_slo >= 58);
  CHECK(*r.goodput_per_s * 10 <= r.throughput_per_s);
  CHECK(r.throughput_per_s <= 501);
}

TEST_CASE("batches form in threads by the same rule") {
  const auto at_once = schedule_at_once(50);
  OpenLoopOptions options;
  options.workers = 3;
  options.warm_up = 2;
  options.batch.max_batch = 8;
  std::atomic<size_t> items = 0;
  std::atomic<size_t> largest = 0;
  const OpenLoopResult r = run_open_loop(
      at_once,
      [&](size_t, size_t, size_t count) {
        items += count;
        if (count > largest) largest = count;
      },
      options);
  CHECK(r.completed == 50);
  CHECK(r.service_ns.size() == 7);
  CHECK(items == 50 + 3 * 2 * 8);
  CHECK(largest == 8);

  options = {};
  options.batch = {10, 30'000'000};
  const auto due = schedule_arrivals({Arrival::kConstant, 1000, 25});
  const OpenLoopResult delayed = run_open_loop(
      due, [](size_t, size_t, size_t) {}, options);
  CHECK(delayed.completed == 25);
  CHECK(delayed.service_ns.size() == 3);   // ten, ten, and five after their delay
  CHECK(delayed.wait_ns[0] >= 9e6 - 1e3);  // the tenth is due 9 ms after the first
  CHECK(delayed.wait_ns[20] >= 30e6 - 1e3);
}

TEST_CASE("time and interrupts end a server run; what waits is counted") {
  const auto due = schedule_arrivals({Arrival::kConstant, 1000, 100'000});
  OpenLoopOptions options;
  options.max_ns = 30'000'000;
  options.slo_ns = 5'000'000;
  const BatchRunnable slow = [](size_t, size_t, size_t) { work_for(3'000'000); };
  const OpenLoopResult timed = run_open_loop(due, slow, options);
  CHECK(timed.stop == LoadStop::kMaxTime);
  CHECK(timed.completed >= 1);
  CHECK(timed.completed <= 11);
  CHECK(timed.left_waiting == timed.issued - timed.completed);
  CHECK(timed.left_waiting >= 15);

  Conduct conduct;
  std::atomic<size_t> asked = 0;
  conduct.interrupted = [&] { return ++asked == 5; };
  options = {};
  const OpenLoopResult cut = run_open_loop(due, slow, options, conduct);
  CHECK(load_stop_name(cut.stop) == "interrupted");
  CHECK(cut.completed == 4);

  // Also while it waits for a query that is due in an hour.
  asked = 0;
  const std::vector<int64_t> far{0, 3'600'000'000'000};
  options.max_ns = 7'200'000'000'000;
  const OpenLoopResult waiting = run_open_loop(far, slow, options, conduct);
  CHECK(waiting.stop == LoadStop::kInterrupted);
  CHECK(waiting.completed == 1);
  CHECK(waiting.time_ns < 3'600'000'000'000);
}

TEST_CASE("a failing query ends the run and is what the caller gets") {
  const auto due = schedule_at_once(1000);
  OpenLoopOptions options;
  options.workers = 4;
  options.warm_up = 0;
  std::atomic<size_t> runs = 0;
  const auto fails_at = [&](size_t bad) {
    return [&runs, bad](size_t, size_t first, size_t) {
      ++runs;
      if (first == bad) throw std::runtime_error("query failed");
      work_for(100'000);
    };
  };
  CHECK_THROWS_WITH(run_open_loop(due, fails_at(20), options), "query failed");
  CHECK(runs < 1000);
  runs = 0;
  options.warm_up = 1;
  CHECK_THROWS_WITH(run_open_loop(due, fails_at(0), options), "query failed");
  CHECK(runs == 4);  // nothing but the warm-up
}

TEST_CASE("streams run together, each its own iterations in order") {
  StreamsOptions options;
  options.streams = 3;
  options.iterations = 20;
  options.warm_up = 0;
  std::vector<size_t> next(3, 0);  // one writer each
  std::atomic<bool> in_order = true;
  const StreamsResult r = run_streams(
      [&](size_t stream, size_t iteration) {
        if (iteration != next[stream]++) in_order = false;
        work_for(stream == 0 ? 1'000'000 : 100'000);
      },
      options);
  CHECK(in_order);
  CHECK(r.stop_reason == StopReason::kIterations);
  REQUIRE(r.streams.size() == 3);
  size_t total = 0;
  for (size_t s = 0; s < 3; ++s) {
    CHECK(r.streams[s].latency_ns.size() >= 20);
    CHECK(r.streams[s].latency_ns.size() == next[s]);
    total += next[s];
    const auto& l = r.streams[s].latency_ns;
    CHECK(*std::min_element(l.begin(), l.end()) >= (s == 0 ? 1e6 : 1e5));
  }
  CHECK(r.iterations == total);
  CHECK(r.time_ns >= 20'000'000);
  CHECK(r.iterations_per_s ==
        doctest::Approx(static_cast<double>(total) * 1e9 / static_cast<double>(r.time_ns)));
  CHECK(r.joint_ns.empty());
}

TEST_CASE("no stream leaves while another one decides whether all are done") {
  StreamsOptions options;
  options.streams = 3;
  options.iterations = 20;
  options.max_ns = 5'000'000'000;
  Conduct slow;  // asked within the decision, which thereby lasts
  slow.interrupted = [] {
    work_for(200'000);
    return false;
  };
  const StreamsResult r = run_streams([](size_t, size_t) {}, options, slow);
  CHECK(r.stop_reason == StopReason::kIterations);
  for (const Samples& samples : r.streams) CHECK(samples.latency_ns.size() >= 20);
}

TEST_CASE("in lockstep a round is as slow as its slowest stream") {
  StreamsOptions options;
  options.streams = 3;
  options.lockstep = true;
  options.iterations = 15;
  const StreamsResult r = run_streams(
      [](size_t stream, size_t i) { work_for(stream == i % 3 ? 800'000 : 50'000); }, options);
  REQUIRE(r.joint_ns.size() == 15);
  CHECK(r.iterations == 45);
  for (size_t s = 0; s < 3; ++s) {
    REQUIRE(r.streams[s].latency_ns.size() == 15);
    for (size_t i = 0; i < 15; ++i) {
      CHECK(r.joint_ns[i] >= r.streams[s].latency_ns[i]);
      CHECK(r.joint_ns[i] >= 8e5);
    }
  }
}

TEST_CASE("streams end at their limits, on interrupts and on failures") {
  for (const bool lockstep : {false, true}) {
    StreamsOptions options;
    options.streams = 4;
    options.lockstep = lockstep;
    options.max_ns = 1;
    const StreamRunnable quick = [](size_t, size_t) { work_for(10'000); };
    const StreamsResult timed = run_streams(quick, options);
    CHECK(timed.stop_reason == StopReason::kMaxTime);
    for (const Samples& s : timed.streams) CHECK(s.latency_ns.size() >= 1);

    options.max_ns = 60'000'000'000;
    options.max_iterations = 100;
    const StreamsResult counted = run_streams(quick, options);
    CHECK(stop_reason_name(counted.stop_reason) == "max_iterations");
    CHECK(counted.iterations <= 103);
    CHECK(counted.iterations >= 97);

    Conduct conduct;
    std::atomic<size_t> asked = 0;
    conduct.interrupted = [&] { return ++asked == 6; };
    CHECK(run_streams(quick, options, conduct).stop_reason == StopReason::kInterrupted);

    options.max_iterations = 1'000'000;
    CHECK_THROWS_WITH(run_streams(
                          [](size_t stream, size_t i) {
                            if (stream == 2 && i == 3) throw std::runtime_error("stream failed");
                            work_for(10'000);
                          },
                          options),
                      "stream failed");
  }
  for (const size_t bad : {0, 100'000}) {
    StreamsOptions options;
    options.streams = bad;
    CHECK_THROWS_AS(run_streams([](size_t, size_t) {}, options), Error);
  }
}

TEST_CASE("scenarios have names") {
  for (const char* name : {"single", "multi", "server", "offline"}) {
    REQUIRE(parse_scenario(name));
    CHECK(scenario_name(*parse_scenario(name)) == name);
  }
  CHECK_FALSE(parse_scenario("Single"));
}

}  // namespace
}  // namespace lathe
