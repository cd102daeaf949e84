// Whether the threads of a pool make runs faster. Beside a busy process they may not: each step
// waits for the thread that lost its CPU, and a run takes several times as long as on one thread.
#pragma once

#include <cstdint>

namespace lathe {

/// Decides from the times of earlier runs. Two of the first runs go alone, to know how long that
/// takes. When more than a third of the runs with the pool take longer, runs go on alone for a
/// while; then the pool is tried again, more and more seldom while it stays late.
class PoolWorth {
 public:
  /// Whether the next run should do without the pool.
  bool alone() const { return alone_left_ > 0; }
  /// The run that alone() was asked for took so long.
  void ran(int64_t duration_ns);
  /// Runs without the pool so far, but for the first trial.
  int64_t lone_runs() const { return lone_runs_; }

 private:
  void ran_together(int64_t duration_ns);
  void go_alone(int64_t runs);

  int64_t runs_ = 0;
  int64_t best_alone_ns_ = 0;  // of the last time without the pool
  int late_ = 0;               // points for late runs, less those for runs in time
  int64_t alone_left_ = 0;
  int64_t last_stay_ = 0;  // alone, in runs; 0: none of late
  int64_t lone_runs_ = 0;
};

}  // namespace lathe
