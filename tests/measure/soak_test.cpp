#include "statistics/soak.h"

#include <doctest/doctest.h>

#include <cmath>

#include "statistics/random.h"

namespace lathe {
namespace {

// An engine on a clock of its own: 1 ms a run with some noise, and rare long ones.
struct FakeEngine {
  BenchRandom random;
  int64_t now = 0;
  int64_t resident = 50 << 20;
  size_t runs = 0;
  double slower_after_seconds = 1e9;
  double slower_by = 0;
  double drift_per_second = 0;
  int64_t leak = 0;  // bytes a run
  double machine_slower_after_seconds = 1e9;
  double machine_slower_by = 0;
  double loop_slower_by = 0;  // than that

  explicit FakeEngine(uint64_t seed) : random(seed) {}
  void run() {
    const double seconds = static_cast<double>(now) / 1e9;
    double ns = 1e6 * (1 + drift_per_second * seconds);
    if (seconds > machine_slower_after_seconds) ns *= 1 + machine_slower_by;
    if (seconds > slower_after_seconds) ns *= 1 + slower_by;
    ns *= 1 + 0.02 * random.unit();
    if (random.unit() < 0.05) ns *= 1.5;  // a neighbour
    now += static_cast<int64_t>(ns);
    resident += leak;
    // Caches of the first runs, and a page now and then that is given back.
    if (++runs < 1000) resident += 4096;
    if (random.unit() < 0.001) resident += random.unit() < 0.5 ? 4096 : -4096;
  }
  void fixed_loop() {
    double ns = 1e4 * (1 + 0.01 * random.unit());
    if (static_cast<double>(now) / 1e9 > machine_slower_after_seconds)
      ns *= 1 + machine_slower_by + loop_slower_by;
    now += static_cast<int64_t>(ns);
  }
  SoakVerdict soak(double seconds) {
    Conduct conduct;
    conduct.clock = [this] { return now; };
    const SoakRun done =
        run_soak([this](size_t) { run(); }, static_cast<int64_t>(seconds * 1e9),
                 {[this] { return std::optional(resident / 4096 * 4096); },
                  [this] { fixed_loop(); }},
                 conduct);
    CHECK(done.runs == runs);
    CHECK(done.points.size() > 100);
    CHECK(done.points.size() <= kSoakStretches + 1);
    return judge_soak(done.points);
  }
};

TEST_CASE("forty quiet runs neither slow down nor leak") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const SoakVerdict verdict = FakeEngine(seed).soak(60);
    CHECK(verdict.reason.empty());
    CHECK(verdict.slowdown <= kMostSlowdown);
    CHECK(verdict.leak == 0);
  }
}

TEST_CASE("an engine that slows by 5 % after a minute is found, with time and size") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    FakeEngine engine(seed);
    engine.slower_after_seconds = 60;
    engine.slower_by = 0.05;
    const SoakVerdict verdict = engine.soak(120);
    CHECK(verdict.slowdown == doctest::Approx(0.05).epsilon(0.1));
    CHECK(verdict.change_seconds == doctest::Approx(60).epsilon(0.03));
    CHECK(verdict.leak == 0);
  }
  // One that gets faster is not slower.
  FakeEngine engine(7);
  engine.slower_after_seconds = 30;
  engine.slower_by = -0.05;
  const SoakVerdict verdict = engine.soak(60);
  CHECK(verdict.slowdown == 0);
  REQUIRE(verdict.change);
  CHECK(verdict.change->ratio < 0.96);
}

TEST_CASE("a processor that slows down is told apart from the engine") {
  FakeEngine engine(13);
  engine.machine_slower_after_seconds = 30;
  engine.machine_slower_by = 0.04;
  SoakVerdict verdict = engine.soak(60);
  CHECK(verdict.slowdown <= kMostSlowdown);
  REQUIRE(verdict.change);
  CHECK(verdict.change->ratio == doctest::Approx(1.04).epsilon(0.005));
  REQUIRE(verdict.machine_slowdown);
  CHECK(*verdict.machine_slowdown == doctest::Approx(0.04).epsilon(0.1));
  CHECK(verdict.machine_seconds == doctest::Approx(30).epsilon(0.03));

  // Both: the engine's own part remains.
  FakeEngine both(17);
  both.machine_slower_after_seconds = both.slower_after_seconds = 30;
  both.machine_slower_by = 0.2;
  both.slower_by = 0.05;
  verdict = both.soak(60);
  CHECK(verdict.slowdown == doctest::Approx(0.05).epsilon(0.1));
  CHECK(*verdict.machine_slowdown > kMostMachineSlowdown);

  // A loop that gets faster by itself makes no engine slower.
  FakeEngine loop(19);
  loop.machine_slower_after_seconds = 30;
  loop.loop_slower_by = -0.1;
  verdict = loop.soak(60);
  CHECK(verdict.slowdown == 0);
  CHECK(*verdict.machine_slowdown == 0);
}

TEST_CASE("a latency that rises slowly is found, too") {
  FakeEngine engine(3);
  engine.drift_per_second = 0.1 / 120;
  const SoakVerdict verdict = engine.soak(120);
  CHECK(verdict.slowdown > kMostSlowdown);
  REQUIRE(verdict.latency_per_minute);
  CHECK(verdict.latency_per_minute->value == doctest::Approx(0.05).epsilon(0.1));
}

TEST_CASE("a leak of 1 KiB a run is found, with its size") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    FakeEngine engine(seed);
    engine.leak = 1024;
    const SoakVerdict verdict = engine.soak(30);
    CHECK(verdict.leak == doctest::Approx(1024).epsilon(0.02));
    REQUIRE(verdict.bytes_per_run);
    CHECK(verdict.bytes_per_run->ci95.low > 0);
    CHECK(verdict.slowdown <= kMostSlowdown);
  }
}

TEST_CASE("a slow moment in between is no throttling") {
  FakeEngine engine(5);
  std::vector<SoakPoint> points;
  for (size_t i = 0; i < 100; ++i) {
    const double noise = 0.004 * engine.random.unit();
    const double level = i >= 50 && i < 70 ? 1.2e6 : 1e6;
    points.push_back({static_cast<double>(i), static_cast<double>(i), level * (1 + noise), {}});
  }
  CHECK(judge_soak(points).slowdown <= kMostSlowdown);
  points.resize(10);
  CHECK_FALSE(judge_soak(points).reason.empty());
}

TEST_CASE("Sen's slope and its interval") {
  std::vector<double> x;
  std::vector<double> y;
  BenchRandom random(11);
  for (int i = 0; i < 50; ++i) {
    x.push_back(i);
    y.push_back(3 * i + 10 * random.unit());
  }
  y[20] = 1e6;  // an outlier moves nothing
  const auto slope = sen_slope(x, y);
  REQUIRE(slope);
  CHECK(slope->value == doctest::Approx(3).epsilon(0.03));
  CHECK(slope->ci95.low < 3);
  CHECK(slope->ci95.high > 3);
  CHECK(slope->ci95.high - slope->ci95.low < 0.2);
  CHECK_FALSE(sen_slope(std::span(x).first(9), std::span(y).first(9)));
}

}  // namespace
}  // namespace lathe
