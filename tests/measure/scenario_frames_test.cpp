#include "load/frame_policy.h"

#include <doctest/doctest.h>

#include <cmath>

#include "ir/error.h"

namespace lathe {
namespace {

// A frame each 10 ms.
FrameOptions at_100_fps(FrameChoice choice, size_t frames = 1000) {
  FrameOptions options;
  options.fps = 100;
  options.frames = frames;
  options.choice = choice;
  return options;
}

FrameReport with_service(double ns, const FrameOptions& options) {
  return simulate_frames(std::vector<double>{ns}, options);
}

TEST_CASE("a fast network sees every frame, whatever the choice") {
  for (const auto choice :
       {FrameChoice::kEvery, FrameChoice::kDropLate, FrameChoice::kLatestOnly}) {
    const FrameReport r = with_service(4e6, at_100_fps(choice));
    CHECK(r.processed == 1000);
    CHECK(r.executions == 1000);
    CHECK(r.dropped == 0);
    CHECK(r.skipped == 0);
    CHECK(r.result_age.worst_ns == 4e6);
    CHECK(r.busy_share == doctest::Approx(0.4));
    CHECK(r.results_per_s == doctest::Approx(100));
    CHECK(r.staleness.worst_ns == 14e6);  // just before the next result
    CHECK(r.staleness.mean_ns == doctest::Approx(9e6).epsilon(0.001));
    CHECK(r.staleness.p95_ns == doctest::Approx(13.5e6).epsilon(0.001));
  }
}

TEST_CASE("skipping saves CPU in proportion and costs staleness") {
  FrameOptions options = at_100_fps(FrameChoice::kEvery);
  options.skip = 3;
  options.threads = 2;
  options.cores = 4;
  const FrameReport r = with_service(4e6, options);
  CHECK(r.processed == 250);
  CHECK(r.skipped == 750);
  CHECK(r.busy_share == doctest::Approx(0.1));
  CHECK(r.cpu_share == doctest::Approx(0.05));
  CHECK(r.result_age.worst_ns == 4e6);
  CHECK(r.staleness.worst_ns == 44e6);
  options.skip = 1'000'000'000'000;
  CHECK(with_service(4e6, options).processed == 1);
}

TEST_CASE("too slow for the camera: results age without end, unless frames are dropped") {
  const FrameReport every = with_service(25e6, at_100_fps(FrameChoice::kEvery));
  CHECK(every.processed == 1000);
  CHECK(every.result_age.worst_ns == 25e6 + 999 * 15e6);
  CHECK(every.result_age.mean_ns == doctest::Approx(25e6 + 499.5 * 15e6));
  CHECK(every.time_ns == 25'000'000'000);
  CHECK(every.max_waiting == 600);

  // Every 50 ms: a frame just captured, and after it the one captured 5 ms before; at the end one
  // more, 10 ms old by then.
  const FrameReport latest = with_service(25e6, at_100_fps(FrameChoice::kLatestOnly));
  CHECK(latest.processed == 401);
  CHECK(latest.dropped == 599);
  CHECK(latest.result_age.p95_ns == 30e6);
  CHECK(latest.result_age.worst_ns == 35e6);
  CHECK(latest.result_age.mean_ns == doctest::Approx(27.5e6).epsilon(0.001));
  CHECK(latest.busy_share == doctest::Approx(1).epsilon(0.01));

  const FrameReport late = with_service(25e6, at_100_fps(FrameChoice::kDropLate));
  CHECK(late.processed + late.dropped == 1000);
  CHECK(late.result_age.worst_ns <= 35e6);
  CHECK(late.processed == doctest::Approx(400).epsilon(0.02));
  FrameOptions patient = at_100_fps(FrameChoice::kDropLate);
  patient.deadline_ns = 100'000'000;
  const FrameReport older = with_service(25e6, patient);
  CHECK(older.result_age.worst_ns <= 125e6);
  CHECK(older.result_age.worst_ns > 100e6);

  // Skipping two of three frames is the cure that needs no dropping.
  FrameOptions skipping = at_100_fps(FrameChoice::kEvery);
  skipping.skip = 2;
  const FrameReport cured = with_service(25e6, skipping);
  CHECK(cured.result_age.worst_ns == 25e6);
  CHECK(cured.dropped == 0);
}

TEST_CASE("one slow execution delays those behind it") {
  std::vector<double> latencies(99, 4e6);
  latencies.push_back(60e6);
  FrameOptions options = at_100_fps(FrameChoice::kEvery, 10'000);
  const FrameReport every = simulate_frames(latencies, options);
  CHECK(every.result_age.worst_ns >= 60e6);
  CHECK(every.result_age.p95_ns > 4e6);
  CHECK(every.busy_share == doctest::Approx(0.456).epsilon(0.05));
  options.choice = FrameChoice::kLatestOnly;
  const FrameReport latest = simulate_frames(latencies, options);
  CHECK(latest.dropped > 300);
  CHECK(latest.result_age.mean_ns < every.result_age.mean_ns);
  options.seed = 1;
  CHECK(simulate_frames(latencies, options).dropped != latest.dropped);
}

TEST_CASE("an early exit shortens its share of the executions") {
  FrameOptions options = at_100_fps(FrameChoice::kEvery, 10'000);
  options.early_exit = {0.75, 0.2};
  const FrameReport r = with_service(8e6, options);
  CHECK(static_cast<double>(r.early_exits) == doctest::Approx(7500).epsilon(0.03));
  CHECK(r.busy_share == doctest::Approx(0.8 * (0.25 + 0.75 * 0.2)).epsilon(0.03));
  CHECK(r.result_age.worst_ns == 8e6);
}

TEST_CASE("a batch waits for its frames or for its delay") {
  FrameOptions options = at_100_fps(FrameChoice::kEvery);
  options.batch = {4, 1'000'000'000};
  const FrameReport full = with_service(4e6, options);
  CHECK(full.executions == 250);
  CHECK(full.processed == 1000);
  CHECK(full.result_age.worst_ns == 34e6);
  CHECK(full.busy_share == doctest::Approx(0.1));
  options.batch.max_delay_ns = 10'000'000;
  const FrameReport pairs = with_service(4e6, options);
  CHECK(pairs.executions == 500);
  CHECK(pairs.result_age.worst_ns == 14e6);
  options.choice = FrameChoice::kLatestOnly;
  options.batch = {2, 0};
  const FrameReport slow = with_service(50e6, options);  // two newest of five
  CHECK(slow.result_age.worst_ns <= 70e6);
  CHECK(slow.processed == doctest::Approx(400).epsilon(0.02));
}

TEST_CASE("frames without sense are refused") {
  const auto rejects = [](auto change) {
    FrameOptions options = at_100_fps(FrameChoice::kDropLate);
    change(options);
    CHECK_THROWS_AS(with_service(1e6, options), Error);
  };
  rejects([](FrameOptions& o) { o.fps = 0; });
  rejects([](FrameOptions& o) { o.fps = std::nan(""); });
  rejects([](FrameOptions& o) { o.fps = 1e-9; });
  rejects([](FrameOptions& o) { o.frames = 0; });
  rejects([](FrameOptions& o) { o.frames = 1'000'000'000; });
  rejects([](FrameOptions& o) { o.batch = {4, 10'000'000}; });  // waits past the deadline
  rejects([](FrameOptions& o) { o.early_exit.share = 1.5; });
  rejects([](FrameOptions& o) { o.cores = 0; });
  CHECK_THROWS_AS(simulate_frames({}, at_100_fps(FrameChoice::kEvery)), InternalError);
  CHECK_THROWS_AS(with_service(-1, at_100_fps(FrameChoice::kEvery)), InternalError);
}

}  // namespace
}  // namespace lathe
