#include "load/open_loop.h"

#include <algorithm>
#include <mutex>

#include "ir/error.h"
#include "load/open_loop_record.h"
#include "load/workers.h"

namespace lathe {
namespace {

constexpr int64_t kSlice_ns = 20'000'000;

// The queue that the workers share. A free worker claims the next batch at once, also one that is
// not due yet, and sleeps until then: no thread is needed that only keeps the time.
class SharedQueue {
 public:
  SharedQueue(std::span<const int64_t> due_ns, const OpenLoopOptions& options,
              const Conduct& conduct)
      : due_ns_(due_ns), options_(options), conduct_(conduct) {
    records_.reserve(due_ns.size());  // so that a worker's record stays where it is
  }

  void open() { origin_ = conduct_.clock(); }
  int64_t time_ns() const { return conduct_.clock() - origin_; }

  /// nullptr: no more work.
  BatchRecord* claim() {
    const std::lock_guard lock(mutex_);
    if (stop_ != LoadStop::kServedAll || next_ == due_ns_.size()) return nullptr;
    if (interrupted_locked()) return nullptr;
    const QueuedBatch plan = next_batch(due_ns_, next_, time_ns(), options_.batch);
    // The very first batch runs also where the threads were slow to get a CPU.
    const bool first_and_late = next_ == 0 && plan.queued;
    if (plan.start_ns > options_.max_ns && !first_and_late) {
      stop_ = LoadStop::kMaxTime;
      return nullptr;
    }
    next_ += plan.count;
    return &records_.emplace_back(BatchRecord{plan, 0, -1});
  }

  /// Sleeps until then; false when the run ends before.
  bool wait_until(int64_t moment_ns, const std::atomic<bool>& stop) {
    while (true) {
      const int64_t left = moment_ns - time_ns();
      if (left <= 0) return true;
      sleep_exactly(std::min(left, kSlice_ns));
      if (left <= kSlice_ns) continue;
      const std::lock_guard lock(mutex_);
      if (stop || interrupted_locked()) return false;
    }
  }

  OpenLoopResult account() const {
    int64_t end = 0;
    for (const BatchRecord& r : records_) end = std::max(end, r.end_ns);
    if (stop_ == LoadStop::kMaxTime) end = std::max(end, options_.max_ns);
    if (stop_ == LoadStop::kInterrupted) end = std::max(end, time_ns());
    return account_open_loop(due_ns_, records_, options_, stop_, end);
  }

 private:
  bool interrupted_locked() {
    if (stop_ != LoadStop::kInterrupted && conduct_.interrupted()) stop_ = LoadStop::kInterrupted;
    return stop_ == LoadStop::kInterrupted;
  }

  std::span<const int64_t> due_ns_;
  const OpenLoopOptions& options_;
  const Conduct& conduct_;
  int64_t origin_ = 0;
  std::mutex mutex_;
  std::vector<BatchRecord> records_;
  size_t next_ = 0;
  LoadStop stop_ = LoadStop::kServedAll;
};

}  // namespace

OpenLoopResult run_open_loop(std::span<const int64_t> due_ns, const BatchRunnable& run,
                             const OpenLoopOptions& options, const Conduct& conduct) {
  check_open_loop(due_ns, options);
  SharedQueue queue(due_ns, options, conduct);
  WorkerSteps steps;
  steps.prepare = [&](size_t worker) {
    const size_t count = std::min(options.batch.max_batch, due_ns.size());
    for (size_t i = 0; i < options.warm_up; ++i) run(worker, 0, count);
  };
  steps.at_start = [&] { queue.open(); };
  steps.run = [&](size_t worker, const std::atomic<bool>& stop) {
    while (!stop) {
      BatchRecord* record = queue.claim();
      if (record == nullptr || !queue.wait_until(record->plan.start_ns, stop)) return;
      record->start_ns = queue.time_ns();
      run(worker, record->plan.first, record->plan.count);
      record->end_ns = queue.time_ns();
    }
  };
  run_workers(options.workers, steps);
  return queue.account();
}

}  // namespace lathe
