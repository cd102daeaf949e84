// What a queue of the C API holds: workers with programs of one plan, and the requests that wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "api/loaded_plan.h"
#include "api/request_queue.h"

namespace lathe {

/// Arrays that a caller of the C API gives for one request.
struct RequestArrays {
  const void* const* inputs = nullptr;
  const size_t* input_bytes = nullptr;
  size_t input_count = 0;
  void* const* outputs = nullptr;
  const size_t* output_bytes = nullptr;
  size_t output_count = 0;
};

class PlanQueue {
 public:
  /// Throws Error: exit 2 for options that cannot be, exit 8 when memory or threads run out, and
  /// what ReadyPlan throws.
  PlanQueue(std::shared_ptr<const SharedPlan> shared, const lathe_queue_options& options);
  /// Finishes what runs and cancels what waits.
  ~PlanQueue();
  PlanQueue(const PlanQueue&) = delete;
  PlanQueue& operator=(const PlanQueue&) = delete;

  /// Throws Error: exit 2 and 3 for arrays that are not the plan's, exit 8 when the queue is full.
  /// `waits`: for room instead. False: the queue is closed.
  bool submit(const RequestArrays& arrays, bool waits, lathe_done done, void* context);
  void drain() { requests_->drain(); }

  /// The calling thread is in a callback of this queue.
  bool is_in_callback() const;
  /// As lathe_queue_settings says them.
  const lathe_queue_options& settings() const { return settings_; }
  const std::string& warning() const { return warning_; }
  lathe_queue_counts counts() const;

 private:
  /// A worker's own: programs by batch, and memory for the arrays of requests that run as one.
  struct Worker;

  void settle(const lathe_queue_options& options);
  void settle_batch(int64_t asked);
  void check_memory(uint64_t most_bytes) const;
  void start();
  void stop();
  void work(const std::vector<int>* cpus);
  /// Runs the requests as one batch.
  void compute(Worker& worker, std::span<const QueuedRequest> group);
  /// The same, and calls every request back.
  void run_group(Worker& worker, std::span<QueuedRequest> group);
  void warn(const std::string& text);

  const std::shared_ptr<const SharedPlan> shared_;
  lathe_queue_options settings_{};
  std::string warning_;
  bool joins_ = false;
  std::vector<LoadedPort> inputs_;  // of one row
  std::vector<LoadedPort> outputs_;
  std::unique_ptr<RequestQueue> requests_;

  std::mutex starting_;
  std::condition_variable started_;
  size_t ready_ = 0;
  std::exception_ptr failure_;  // of a worker that could not start

  std::atomic<uint64_t> submitted_ = 0;
  std::atomic<uint64_t> finished_ = 0;
  std::atomic<uint64_t> failed_ = 0;
  std::atomic<uint64_t> runs_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace lathe
