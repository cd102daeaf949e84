// What a camera application gets from a network of known latency under a policy of frames left out:
// a simulation of one worker on a sequence of frames. Callers that have a device profile take
// skip and batch from its power mode, the delay from its queue_delay_ms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "load/batch_queue.h"

namespace lathe {

enum class FrameChoice {
  kEvery,       // all frames in order; under overload the results grow older and older
  kDropLate,    // in order, without those that have waited for longer than the deadline
  kLatestOnly,  // the newest ones waiting; older ones are dropped
};

/// "every", "drop-late", "latest-only": as in flags and reports.
std::string_view frame_choice_name(FrameChoice choice);

/// A network with a side exit: that share of the executions ends early, at that share of the cost.
struct EarlyExit {
  double share = 0;  // in [0, 1]
  double cost = 1;   // in [0, 1], relative to the full execution
};

struct FrameOptions {
  double fps = 30;      // in (0, 1e6]
  size_t frames = 900;  // 1 … kMaxQueries
  FrameChoice choice = FrameChoice::kEvery;
  size_t skip = 0;          // frames left out between two that are candidates
  int64_t deadline_ns = 0;  // kDropLate; 0: one candidate's interval
  BatchRule batch;          // of candidates
  EarlyExit early_exit;
  /// The CPUs that an execution keeps busy, of those that there are.
  size_t threads = 1;
  size_t cores = 1;
  uint64_t seed = 0;
};

struct AgeSummary {
  double mean_ns = 0;
  double p95_ns = 0;
  double worst_ns = 0;
};

struct FrameReport {
  size_t frames = 0;
  size_t skipped = 0;  // left out by `skip`
  size_t dropped = 0;  // candidates left out by the choice
  size_t processed = 0;
  size_t executions = 0;   // batches
  size_t early_exits = 0;  // of the executions
  size_t max_waiting = 0;  // candidates captured and not taken up, at the worst start
  /// From a processed frame's capture to its result.
  AgeSummary result_age;
  /// How old the newest result is for someone who looks at a random moment, from the first result
  /// to the end: what skipping costs.
  AgeSummary staleness;
  double results_per_s = 0;  // processed frames
  double busy_share = 0;     // of the time that an execution is under way
  double cpu_share = 0;      // busy_share x threads / cores
  int64_t time_ns = 0;       // to the last frame's interval's end or the last result
};

/// `service_ns`: measured latencies of one execution (of one batch), drawn from at random. The same
/// input gives the same report everywhere. Throws Error (exit 2) for options out of range and
/// InternalError for no, negative or non-finite latencies.
FrameReport simulate_frames(std::span<const double> service_ns, const FrameOptions& options);

}  // namespace lathe
