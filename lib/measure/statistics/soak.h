// What a long run tells that a short one does not: latency that rises or changes its level
// (throttling), and memory that grows (leaks). A fixed loop, timed beside the engine, tells what
// the processor did by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "statistics/sampling.h"
#include "statistics/statistics.h"

namespace lathe {

/// One stretch of a run.
struct SoakPoint {
  double seconds = 0;     // its end, since the start
  double runs = 0;        // so many until then
  double latency_ns = 0;  // its tenth percentile: what disturbs only slows down
  std::optional<double> resident_bytes;
  std::optional<double> reference_ns;  // of the fixed loop, likewise
};

struct SoakRun {
  std::vector<SoakPoint> points;   // about kSoakStretches
  std::vector<double> latency_ns;  // every `stride`-th
  size_t runs = 0;
  size_t stride = 1;
  int64_t time_ns = 0;
  bool interrupted = false;
};

constexpr size_t kSoakStretches = 120;

/// What stands beside the runs, outside of what is timed.
struct SoakSide {
  std::function<std::optional<int64_t>()> resident;  // asked at the end of each stretch
  /// A fixed piece of work, some microseconds; timed for a twentieth of each stretch. May be empty.
  std::function<void()> reference;
};

/// Runs for that long, at least once. Takes no memory while it runs, so that what grows is not its
/// own.
SoakRun run_soak(const Runnable& run, int64_t duration_ns, const SoakSide& side,
                 const Conduct& conduct = {});

struct Slope {
  double value = 0;
  Interval ci95;
};
/// The median of the slopes of all pairs and its interval by Kendall's statistic (Sen, "Estimates
/// of the regression coefficient based on Kendall's tau", JASA 63, 1968). nullopt for fewer than
/// ten points or equal x.
std::optional<Slope> sen_slope(std::span<const double> x, std::span<const double> y);

/// Two levels one after the other: the values from `at` on are `ratio` of those before (medians).
struct LevelChange {
  size_t at = 0;
  double ratio = 1;
  double p = 1;
};
/// The most likely place of a change and its p-value (Pettitt, "A non-parametric approach to the
/// change-point problem", Applied Statistics 28, 1979). nullopt for fewer than ten values.
std::optional<LevelChange> level_change(std::span<const double> values);

struct SoakVerdict {
  std::string reason;  // why nothing can be said; empty: it can
  double seconds = 0;
  std::optional<Slope> latency_per_minute;  // share of the median
  std::optional<LevelChange> change;        // significant, larger than noise and a hundredth
  double change_seconds = 0;                // when
  /// How much slower the end is than the beginning by step or trend; 0 when neither is believed.
  /// With a reference: as far as the latency grew more than the fixed loop's time.
  double slowdown = 0;
  /// The same of the fixed loop: the processor's own. nullopt without one.
  std::optional<double> machine_slowdown;
  double machine_seconds = 0;  // since when
  std::optional<Slope> bytes_per_run;
  /// Bytes that it surely loses a run; 0 when the interval holds 0 or the growth is too small.
  double leak = 0;
};

/// From this slowdown on a latency has not kept its level.
constexpr double kMostSlowdown = 0.03;
/// The processor of a virtual machine wavers by some percent for seconds, whatever runs on it
/// (4 % seen); one that throttles loses more.
constexpr double kMostMachineSlowdown = 0.1;

SoakVerdict judge_soak(std::span<const SoakPoint> points);

}  // namespace lathe
