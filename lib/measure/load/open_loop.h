// Server and offline scenarios: queries are due at given moments whether or not the earlier ones
// are answered, W workers serve them in order, and latency counts from the moment a query was due.
// A slow server therefore cannot slow its own clients down and hide its queue ("coordinated
// omission"): under overload the latency grows with the backlog.
//
// Server scenario: run_open_loop(schedule_arrivals(…), …). Offline scenario:
// run_open_loop(schedule_at_once(items), …) with batch.max_batch = the batch size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "load/batch_queue.h"
#include "statistics/sampling.h"

namespace lathe {

struct OpenLoopOptions {
  size_t workers = 1;
  BatchRule batch;
  std::optional<int64_t> slo_ns;    // the latency that a good answer stays within
  int64_t max_ns = 60'000'000'000;  // nothing but the first batch starts after it; none is cut off
  int64_t late_ns = 1'000'000;      // a start this much after its planned moment is a late one
  size_t warm_up = 1;               // batches that each worker runs before the common start
};

/// Why a run ended.
enum class LoadStop { kServedAll, kMaxTime, kInterrupted };

/// "served_all", "max_time", "interrupted": as in reports.
std::string_view load_stop_name(LoadStop stop);

struct BacklogPoint {
  int64_t time_ns = 0;
  size_t waiting = 0;
};

/// Moments are nanoseconds since the common start. Queries that were due but not started when the
/// run was cut short are `left_waiting`: the percentiles of latency_ns are lower bounds then.
struct OpenLoopResult {
  std::vector<double> latency_ns;  // due to answered; one a completed query, in the order due
  std::vector<double> wait_ns;     // due to started, alike
  std::vector<double> service_ns;  // started to ended; one a batch
  size_t issued = 0;               // due while the run lasted
  size_t completed = 0;
  size_t left_waiting = 0;  // issued, not completed
  size_t queued = 0;        // completed ones that waited because no worker was free
  size_t late_starts = 0;   // batches; the tool's or the scheduler's delay, not the queue's
  int64_t worst_late_ns = 0;
  size_t max_backlog = 0;             // due and not started, at the worst moment
  std::vector<BacklogPoint> backlog;  // at up to 100 queries evenly chosen from the issued ones
  /// Some query of the second half found a free worker: the queue was empty then. False means that
  /// the backlog never went away, and that latencies depend on how long the run was.
  bool caught_up = false;
  int64_t time_ns = 0;          // until the last answer, or until max_ns where that ended it
  double throughput_per_s = 0;  // completed queries
  /// With an SLO: queries past it (completed, or left waiting for longer than that), those of which
  /// it is known on which side they are, and the rate of the answers within it.
  std::optional<size_t> over_slo;
  size_t judged = 0;
  std::optional<double> goodput_per_s;
  double busy_share = 0;  // of workers x time_ns
  LoadStop stop = LoadStop::kServedAll;
};

/// Runs queries [first, first + count) as one batch. Called from `workers` threads at once: use
/// `worker` (0, 1, …) to choose an engine instance where one must not be shared.
using BatchRunnable = std::function<void(size_t worker, size_t first, size_t count)>;

/// In threads and real time: conduct.clock has to run with the steady clock. conduct.interrupted is
/// asked by one thread at a time, at least every 20 ms unless all workers are in `run`. The first
/// exception of `run` ends the run and passes through. `due_ns` is ascending, not empty and at most
/// kMaxQueries long. For tools: warm-up batches have first = 0.
OpenLoopResult run_open_loop(std::span<const int64_t> due_ns, const BatchRunnable& run,
                             const OpenLoopOptions& options, const Conduct& conduct = {});

}  // namespace lathe
