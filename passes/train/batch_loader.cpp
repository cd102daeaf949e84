#include "train/batch_loader.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "run/threads.h"

namespace lathe {

BatchLoader::BatchLoader(std::function<Batch(int64_t step)> load)
    : load_(std::move(load)), thread_([this] { work(); }) {}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BatchLoader::prefetch(int64_t step) {
  {
    const std::lock_guard lock(mutex_);
    if (wanted_) return;
    wanted_ = step;
  }
  changed_.notify_all();
}

Batch BatchLoader::take(int64_t step) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!wanted_) {
      wanted_ = step;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return ready_ || failure_; });
    const bool right = wanted_ == step;
    std::optional<Batch> batch = std::exchange(ready_, std::nullopt);
    const std::exception_ptr failure = std::exchange(failure_, nullptr);
    wanted_.reset();
    if (!right) continue;
    if (failure) std::rethrow_exception(failure);
    return std::move(*batch);
  }
}

void BatchLoader::work() {
  const SingleThreaded alone;
  const at::NoGradGuard no_gradient;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || (wanted_ && !ready_ && !failure_); });
    if (ending_) return;
    const int64_t step = *wanted_;
    lock.unlock();
    std::optional<Batch> batch;
    std::exception_ptr failure;
    try {
      batch = load_(step);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    ready_ = std::move(batch);
    failure_ = failure;
    changed_.notify_all();
  }
}

void for_each_batch(const TrainingData& data, size_t batch,
                    const std::function<void(const Batch&)>& work) {
  BatchLoader loader([&](int64_t step) {
    const size_t first = static_cast<size_t>(step) * batch;
    std::vector<size_t> samples(std::min(batch, data.count - first));
    std::iota(samples.begin(), samples.end(), first);
    return make_batch(data, samples);
  });
  for (size_t first = 0; first < data.count; first += batch) {
    const auto step = static_cast<int64_t>(first / batch);
    const Batch samples = loader.take(step);
    if (first + batch < data.count) loader.prefetch(step + 1);
    work(samples);
  }
}

}  // namespace lathe
