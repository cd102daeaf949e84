// Multi scenario: N closed loops at once, each in its own thread. Free-running, every stream starts
// its next iteration when its last one ended; in lockstep, all start a round together and a
// round's latency is that of the slowest (MLPerf LoadGen's MultiStream).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "statistics/sampling.h"

namespace lathe {

struct StreamsOptions {
  size_t streams = 1;
  bool lockstep = false;
  /// Until every stream has run so many; faster streams go on meanwhile, so that none of the
  /// samples is taken with less company than the others.
  std::optional<size_t> iterations;
  int64_t max_ns = 10'000'000'000;
  size_t max_iterations = 1'000'000;  // of all streams together; bounds the memory
  size_t warm_up = 1;                 // iterations of each stream before the common start
};

struct StreamsResult {
  std::vector<Samples> streams;  // each with at least one sample, whatever the limits
  /// Lockstep only, one a round: from the first stream's start to the last one's end.
  std::vector<double> joint_ns;
  size_t iterations = 0;  // of all streams
  int64_t time_ns = 0;
  double iterations_per_s = 0;  // of all streams together
  StopReason stop_reason = StopReason::kMaxTime;
};

using StreamRunnable = std::function<void(size_t stream, size_t iteration)>;

/// conduct.clock is read by all threads at once; conduct.interrupted is asked by one at a time,
/// between iterations. The first exception of `run` ends the run and passes through. Throws Error
/// (exit 2) for no or too many streams. `run` is called from all threads at once; warm-up
/// iterations are numbered from 0, too.
StreamsResult run_streams(const StreamRunnable& run, const StreamsOptions& options,
                          const Conduct& conduct = {});

}  // namespace lathe
