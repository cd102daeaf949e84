#include "program/pool_worth.h"

#include <algorithm>
#include <limits>

namespace lathe {
namespace {

// The first run touches memory for the first time.
constexpr int64_t kTrialAfter = 2;
constexpr int64_t kTrialRuns = 2;

// A late run counts twice what a run in time takes back, so the count grows when more than a third
// are late. Three late runs in a row leave the pool.
constexpr int kLate = 2;
constexpr int kInTime = 1;
constexpr int kTooLate = 3 * kLate;

// Runs alone before the pool is tried again. A trial costs one slow run, several times as long as
// the others: little beside 16. After at most 256 it shows that a neighbour has gone.
constexpr int64_t kFewestAlone = 16;
constexpr int64_t kMostAlone = 256;

}  // namespace

void PoolWorth::ran(int64_t duration_ns) {
  ++runs_;
  if (!alone()) {
    ran_together(duration_ns);
    return;
  }
  best_alone_ns_ = std::min(best_alone_ns_, duration_ns);
  --alone_left_;
  if (runs_ > kTrialAfter + kTrialRuns) ++lone_runs_;
}

void PoolWorth::ran_together(int64_t duration_ns) {
  if (runs_ < kTrialAfter) return;
  if (runs_ == kTrialAfter) {
    go_alone(kTrialRuns);
    return;
  }
  // The best run alone beside usual ones with the pool: some noise is none of the pool's.
  if (duration_ns <= best_alone_ns_ + best_alone_ns_ / 8) {
    late_ = std::max(0, late_ - kInTime);
    if (late_ == 0) last_stay_ = 0;
    return;
  }
  late_ += kLate;
  if (late_ < kTooLate) return;
  last_stay_ = std::clamp(2 * last_stay_, kFewestAlone, kMostAlone);
  go_alone(last_stay_);
  // One more late run leaves the pool again.
  late_ = kTooLate - kLate;
}

void PoolWorth::go_alone(int64_t runs) {
  alone_left_ = runs;
  best_alone_ns_ = std::numeric_limits<int64_t>::max();
}

}  // namespace lathe
