#include "api/request_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

}  // namespace

RequestQueue::RequestQueue(size_t capacity, const BatchLimits& limits, size_t inputs,
                           size_t outputs)
    : limits_(limits) {
  empty_.inputs.resize(inputs);
  empty_.outputs.resize(outputs);
  slots_.assign(capacity, empty_);
  rows_.reserve(std::min(capacity, static_cast<size_t>(limits.most_rows)));
}

std::vector<QueuedRequest> RequestQueue::make_group() const {
  return std::vector<QueuedRequest>(std::min(slots_.size(), static_cast<size_t>(limits_.most_rows)),
                                    empty_);
}

RequestQueue::Pushed RequestQueue::push(const NewRequest& request, bool waits) {
  std::unique_lock lock(mutex_);
  ++pushers_;
  if (waits) left_.wait(lock, [&] { return closed_ || count_ < slots_.size(); });
  --pushers_;
  if (closed_) {
    left_.notify_all();
    return Pushed::kClosed;
  }
  if (count_ == slots_.size()) return Pushed::kFull;
  QueuedRequest& slot = at(count_);
  slot.inputs.assign(request.inputs.begin(), request.inputs.end());
  slot.outputs.assign(request.outputs.begin(), request.outputs.end());
  slot.rows = request.rows;
  slot.arrival_ns = now_ns();
  slot.done = request.done;
  slot.context = request.context;
  ++count_;
  arrived_.notify_one();
  return Pushed::kYes;
}

BatchDecision RequestQueue::decide() {
  rows_.clear();
  int64_t sum = 0;
  for (size_t i = 0; i < count_ && sum < limits_.most_rows; ++i) {
    rows_.push_back(at(i).rows);
    sum += rows_.back();
  }
  return decide_batch(rows_, at(0).arrival_ns, now_ns(), limits_, drains_ > 0);
}

size_t RequestQueue::take(std::vector<QueuedRequest>& group) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (closed_) return 0;
    if (count_ == 0) {
      arrived_.wait(lock);
      continue;
    }
    const BatchDecision decision = decide();
    if (decision.requests == 0) {
      arrived_.wait_until(lock, Clock::time_point(std::chrono::nanoseconds(decision.due_ns)));
      continue;
    }
    for (size_t i = 0; i < decision.requests; ++i) std::swap(group[i], at(i));
    first_ = (first_ + decision.requests) % slots_.size();
    count_ -= decision.requests;
    running_ += decision.requests;
    left_.notify_all();
    // Whoever was woken for these may have found them gone.
    if (count_ > 0) arrived_.notify_one();
    return decision.requests;
  }
}

void RequestQueue::finish(size_t requests) {
  const std::lock_guard lock(mutex_);
  running_ -= requests;
  if (running_ == 0) left_.notify_all();
}

void RequestQueue::drain() {
  std::unique_lock lock(mutex_);
  ++drains_;
  arrived_.notify_all();
  left_.wait(lock, [&] { return count_ == 0 && running_ == 0; });
  --drains_;
  left_.notify_all();
}

void RequestQueue::close(const std::function<void(QueuedRequest&)>& cancel) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  arrived_.notify_all();
  left_.notify_all();
  while (count_ > 0) {
    QueuedRequest request = std::move(at(0));
    first_ = (first_ + 1) % slots_.size();
    --count_;
    lock.unlock();
    cancel(request);
    lock.lock();
  }
  left_.wait(lock, [&] { return pushers_ == 0 && drains_ == 0; });
}

size_t RequestQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace lathe
