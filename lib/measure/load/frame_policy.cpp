#include "load/frame_policy.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"
#include "load/arrival.h"
#include "statistics/random.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

void check(std::span<const double> service_ns, const FrameOptions& o) {
  const auto reject = [](const char* what, const char* hint) {
    throw bad_usage("bench.bad_frames", what, {}, hint);
  };
  if (!(o.fps > 0 && o.fps <= 1e6)) reject("the frame rate is not in (0, 1e6]", "");
  if (o.frames < 1 || o.frames > kMaxQueries) {
    reject("the number of frames is out of range", "1 to 1000000");
  }
  // Then every moment of the simulation is far from the end of 64 bits.
  if (static_cast<double>(o.frames) / o.fps > 1e8) reject("the frames last for over 1e8 s", "");
  const auto is_share = [](double x) { return x >= 0 && x <= 1; };
  if (!is_share(o.early_exit.share) || !is_share(o.early_exit.cost)) {
    reject("the early exit's share or cost is not in [0, 1]", "");
  }
  if (o.batch.max_batch < 1 || o.batch.max_delay_ns < 0 || o.deadline_ns < 0 || o.threads < 1 ||
      o.cores < 1) {
    reject("batch, threads and cores start at 1, delay and deadline at 0", "");
  }
  const double deadline_ns =
      o.deadline_ns > 0 ? static_cast<double>(o.deadline_ns)
                        : 1e9 / o.fps * static_cast<double>(std::min(o.skip, o.frames) + 1);
  if (o.choice == FrameChoice::kDropLate &&
      static_cast<double>(o.batch.max_delay_ns) >= deadline_ns) {
    reject("frames that wait for their batch would all be dropped as late",
           "make the batch's delay shorter than the deadline");
  }
  if (service_ns.empty()) throw InternalError("simulate_frames: no latencies");
  for (const double ns : service_ns) {
    if (!(ns >= 0 && ns <= 1e12)) throw InternalError("simulate_frames: an impossible latency");
  }
}

AgeSummary summarize_ages(std::vector<double> ages) {
  std::sort(ages.begin(), ages.end());
  const double sum = std::accumulate(ages.begin(), ages.end(), 0.0);
  return {sum / static_cast<double>(ages.size()), quantile(ages, 0.95), ages.back()};
}

// The newest result grows older at the pace of time: from `low` to `high`, once each.
struct Ramp {
  double low = 0;
  double high = 0;
};

AgeSummary summarize_ramps(const std::vector<Ramp>& ramps) {
  double time = 0;
  double area = 0;
  double worst = 0;
  for (const Ramp& r : ramps) {
    time += r.high - r.low;
    area += (r.high - r.low) * (r.high + r.low) / 2;
    worst = std::max(worst, r.high);
  }
  if (time <= 0) return {worst, worst, worst};
  // The age that is exceeded for 5 % of the time, by bisection.
  double low = 0;
  double high = worst;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    double above = 0;
    for (const Ramp& r : ramps) above += std::max(0.0, r.high - std::max(r.low, middle));
    (above > 0.05 * time ? low : high) = middle;
  }
  return {area / time, high, worst};
}

// The worker's next batch once those that the choice leaves out are gone; `next` is moved past
// them. nullopt: none is left.
std::optional<QueuedBatch> choose(std::span<const int64_t> captured, const FrameOptions& options,
                                  int64_t deadline_ns, int64_t free_ns, size_t& next,
                                  FrameReport& report) {
  while (next < captured.size()) {
    QueuedBatch batch = next_batch(captured, next, free_ns, options.batch);
    const size_t waiting =
        static_cast<size_t>(std::upper_bound(captured.begin() + static_cast<std::ptrdiff_t>(next),
                                             captured.end(), batch.start_ns) -
                            captured.begin()) -
        next;
    report.max_waiting = std::max(report.max_waiting, waiting);
    size_t drop = 0;
    if (options.choice == FrameChoice::kLatestOnly) {
      drop = waiting - batch.count;
    } else if (options.choice == FrameChoice::kDropLate) {
      while (drop < waiting && batch.start_ns - captured[next + drop] > deadline_ns) ++drop;
    }
    if (drop == 0) return batch;
    report.dropped += drop;
    next += drop;
  }
  return std::nullopt;
}

}  // namespace

std::string_view frame_choice_name(FrameChoice choice) {
  static constexpr std::string_view kNames[] = {"every", "drop-late", "latest-only"};
  return kNames[static_cast<size_t>(choice)];
}

FrameReport simulate_frames(std::span<const double> service_ns, const FrameOptions& options) {
  check(service_ns, options);
  const double interval_ns = 1e9 / options.fps;
  // A skip past the last frame leaves the first one, whatever its size.
  const size_t stride = std::min(options.skip, options.frames) + 1;
  std::vector<int64_t> captured;
  for (size_t i = 0; i < options.frames; i += stride) {
    captured.push_back(static_cast<int64_t>(static_cast<double>(i) * interval_ns));
  }
  const int64_t deadline_ns = options.deadline_ns > 0
                                  ? options.deadline_ns
                                  : static_cast<int64_t>(interval_ns * static_cast<double>(stride));
  FrameReport report;
  report.frames = options.frames;
  report.skipped = options.frames - captured.size();
  BenchRandom random(options.seed);
  std::vector<double> ages;
  std::vector<Ramp> ramps;
  int64_t free_ns = 0;
  int64_t newest = -1;  // capture of the newest result
  double busy_ns = 0;
  size_t next = 0;
  while (const auto batch = choose(captured, options, deadline_ns, free_ns, next, report)) {
    double cost = service_ns[random.below(service_ns.size())];
    if (random.unit() < options.early_exit.share) {
      cost *= options.early_exit.cost;
      ++report.early_exits;
    }
    busy_ns += cost;
    const int64_t end_ns = batch->start_ns + std::llround(cost);
    if (newest >= 0) {
      ramps.push_back(
          {static_cast<double>(free_ns - newest), static_cast<double>(end_ns - newest)});
    }
    free_ns = end_ns;
    next += batch->count;
    for (size_t i = batch->first; i < next; ++i) {
      ages.push_back(static_cast<double>(end_ns - captured[i]));
    }
    newest = captured[next - 1];
    ++report.executions;
  }
  report.processed = ages.size();
  report.time_ns =
      std::max(free_ns, static_cast<int64_t>(static_cast<double>(options.frames) * interval_ns));
  ramps.push_back(
      {static_cast<double>(free_ns - newest), static_cast<double>(report.time_ns - newest)});
  report.result_age = summarize_ages(std::move(ages));
  report.staleness = summarize_ramps(ramps);
  const double time = std::max(1.0, static_cast<double>(report.time_ns));
  report.results_per_s = static_cast<double>(report.processed) * 1e9 / time;
  report.busy_share = busy_ns / time;
  report.cpu_share =
      report.busy_share * static_cast<double>(options.threads) / static_cast<double>(options.cores);
  return report;
}

}  // namespace lathe
