// Requests that wait for a worker, first come, first served.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "api/decide_batch.h"
#include "api/lathe.h"

namespace lathe {

struct QueuedRequest {
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  int64_t rows = 1;
  int64_t arrival_ns = 0;
  lathe_done done = nullptr;
  void* context = nullptr;
};

/// A request whose arrays of addresses are still the caller's.
struct NewRequest {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  int64_t rows = 1;
  lathe_done done = nullptr;
  void* context = nullptr;
};

class RequestQueue {
 public:
  /// Room for `capacity` requests with so many arrays is there from now on: nothing is allocated
  /// later.
  RequestQueue(size_t capacity, const BatchLimits& limits, size_t inputs, size_t outputs);

  /// Room for the requests that can run as one.
  std::vector<QueuedRequest> make_group() const;

  enum class Pushed { kYes, kFull, kClosed };
  /// `waits`: for room, or until the queue is closed.
  Pushed push(const NewRequest& request, bool waits);

  /// Waits for requests that are due and moves them to the front of `group` (make_group). Returns
  /// how many; 0: the queue is closed. Every call that returned requests is followed by finish().
  size_t take(std::vector<QueuedRequest>& group);
  void finish(size_t requests);

  /// Waits until nothing waits or runs; nothing waits for company meanwhile.
  void drain();

  /// No request is taken or accepted from now on. What still waits goes to `cancel`; whoever waits
  /// in push() or drain() has left it when this returns.
  void close(const std::function<void(QueuedRequest&)>& cancel);

  size_t waiting() const;

 private:
  QueuedRequest& at(size_t index) { return slots_[(first_ + index) % slots_.size()]; }
  BatchDecision decide();

  BatchLimits limits_;
  QueuedRequest empty_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable left_;  // a place is free, all is done, a pusher has gone
  std::vector<QueuedRequest> slots_;
  std::vector<int64_t> rows_;
  size_t first_ = 0;
  size_t count_ = 0;
  size_t running_ = 0;
  size_t pushers_ = 0;
  size_t drains_ = 0;
  bool closed_ = false;
};

}  // namespace lathe
