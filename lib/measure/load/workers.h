// Threads that begin together and of which one failure ends all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace lathe {

constexpr size_t kMaxWorkers = 256;

struct WorkerSteps {
  std::function<void(size_t worker)> prepare;  // each in its thread, before the common start
  std::function<void()> at_start;  // once, in the caller's thread: all are prepared, none runs
  /// Ends soon after `stop` is set, which happens when a worker has failed.
  std::function<void(size_t worker, const std::atomic<bool>& stop)> run;
};

/// Returns when all `count` threads have ended. The first exception of a step is thrown again here.
/// Error: threads that cannot be started (exit 6), a count outside of 1 to kMaxWorkers (exit 2).
void run_workers(size_t count, const WorkerSteps& steps);

/// Sleeps for `ns` or a little longer, with no timer slack from the kernel, which
/// would add its 50 microseconds to every latency. It is switched off for the calling thread for
/// good: for threads of run_workers only.
void sleep_exactly(int64_t ns);

}  // namespace lathe
