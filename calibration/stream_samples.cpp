#include "calibration/stream_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "ir/error.h"

namespace lathe {
namespace {

struct Slot {
  Feed feed;
  std::exception_ptr error;
};

// Positions are handed out in order and taken in order; the window between is bounded.
class Pipeline {
 public:
  Pipeline(const DataSet& data, std::span<const size_t> order, size_t threads)
      : data_(data), order_(order), ahead_(2 * threads) {
    try {
      for (size_t i = 0; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (...) {
      // One worker is enough; none is not.
      if (workers_.empty()) throw;
    }
  }
  ~Pipeline() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  Feed take(size_t position) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_.contains(position); });
    Slot slot = std::move(ready_.extract(position).mapped());
    taken_ = position + 1;
    lock.unlock();
    changed_.notify_all();
    if (slot.error) std::rethrow_exception(slot.error);
    return std::move(slot.feed);
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock,
                    [&] { return stop_ || next_ == order_.size() || next_ < taken_ + ahead_; });
      if (stop_ || next_ == order_.size()) return;
      const size_t position = next_++;
      lock.unlock();
      Slot slot;
      try {
        slot.feed = {data_.sample(order_[position]), data_.label(order_[position])};
      } catch (...) {
        slot.error = std::current_exception();
      }
      lock.lock();
      ready_.emplace(position, std::move(slot));
      lock.unlock();
      changed_.notify_all();
    }
  }

  const DataSet& data_;
  std::span<const size_t> order_;
  size_t ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<size_t, Slot> ready_;
  size_t next_ = 0;
  size_t taken_ = 0;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

Tensor concatenate(std::span<const std::vector<Tensor>> samples, size_t input) {
  const Tensor& first = samples[0][input];
  Shape shape = first.shape();
  if (first.rank() > 0) shape[0] = 0;
  std::vector<std::byte> bytes;
  for (const std::vector<Tensor>& sample : samples) {
    const Tensor& part = sample.at(input);
    const bool same =
        part.dtype() == first.dtype() && part.rank() == first.rank() &&
        (part.rank() == 0 ? part.identical(first)
                          : std::equal(shape.begin() + 1, shape.end(), part.shape().begin() + 1));
    if (!same)
      throw bad_input("data.batch",
                      fmt::format("samples of shape {} and {} do not make a batch",
                                  shape_text(first.shape()), shape_text(part.shape())));
    if (part.rank() == 0) continue;
    shape[0] += part.shape()[0];
    bytes.insert(bytes.end(), part.bytes().begin(), part.bytes().end());
  }
  return first.rank() == 0 ? first
                           : Tensor::from_bytes(first.dtype(), std::move(shape), std::move(bytes));
}

}  // namespace

void stream_samples(const DataSet& data, std::span<const size_t> order, int threads,
                    const std::function<void(size_t position, Feed feed)>& visit) {
  if (order.empty()) return;
  const size_t count = std::min(static_cast<size_t>(std::clamp(threads, 1, 256)), order.size());
  Pipeline pipeline(data, order, count);
  for (size_t position = 0; position < order.size(); ++position)
    visit(position, pipeline.take(position));
}

void stream_samples(const DataSet& data, size_t begin, size_t end, int threads,
                    const std::function<void(size_t index, Feed feed)>& visit) {
  if (begin >= end) return;
  std::vector<size_t> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  stream_samples(data, order, threads,
                 [&](size_t position, Feed feed) { visit(begin + position, std::move(feed)); });
}

std::vector<Tensor> stack_batch(std::span<const std::vector<Tensor>> samples) {
  std::vector<Tensor> batch;
  if (samples.empty()) return batch;
  for (size_t input = 0; input < samples[0].size(); ++input)
    batch.push_back(concatenate(samples, input));
  return batch;
}

}  // namespace lathe
