// Processes that are threads of this one: fast, and they can be lost. Include before doctest.
#pragma once

#include <ATen/ATen.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "ir/error.h"
#include "train/processes.h"

namespace lathe::test {

class ThreadGroup {
 public:
  explicit ThreadGroup(int64_t size) : given_(static_cast<size_t>(size)) {}

  /// All processes' tensors in, the same result out.
  using Combine = std::function<at::Tensor(const std::vector<at::Tensor>&)>;
  void together(int64_t rank, at::Tensor& tensor, const Combine& combine) {
    std::unique_lock lock(mutex_);
    given_[static_cast<size_t>(rank)] = tensor;
    const int64_t round = round_;
    if (++arrived_ == static_cast<int64_t>(given_.size())) {
      for (const at::Tensor& other : given_)
        if (other.sizes() != tensor.sizes() || other.scalar_type() != tensor.scalar_type())
          broken_ = true;  // the processes do not make the same calls
      if (!broken_) result_ = combine(given_).clone();
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round || broken_; });
    }
    if (broken_)
      throw bad_environment("train.peer_lost", "another process of the training is gone",
                            "rank " + std::to_string(rank));
    tensor.copy_(result_);
    // The result stays until all have it.
    if (++taken_ == static_cast<int64_t>(given_.size())) {
      taken_ = 0;
      changed_.notify_all();
    } else {
      const int64_t taking = round_;
      changed_.wait(lock, [&] { return taken_ == 0 || round_ != taking || broken_; });
    }
  }

  void leave() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<at::Tensor> given_;
  at::Tensor result_;
  int64_t arrived_ = 0;
  int64_t taken_ = 0;
  int64_t round_ = 0;
  bool broken_ = false;
};

class ThreadProcess final : public Processes {
 public:
  ThreadProcess(ThreadGroup& group, int64_t rank, int64_t size)
      : group_(group), rank_(rank), size_(size) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }
  void sum(at::Tensor& tensor) override {
    ++calls;
    group_.together(rank_, tensor, [](const std::vector<at::Tensor>& all) {
      at::Tensor sum = all[0].clone();
      for (size_t i = 1; i < all.size(); ++i) sum += all[i];
      return sum;
    });
  }
  void take_from_first(at::Tensor& tensor) override {
    group_.together(rank_, tensor, [](const std::vector<at::Tensor>& all) { return all[0]; });
  }

  int64_t calls = 0;

 private:
  ThreadGroup& group_;
  int64_t rank_;
  int64_t size_;
};

/// Runs `work` in `size` threads at once; a thread that ends with an exception is lost to the
/// others. The text of each one's exception (run_text.h), empty without.
inline std::vector<std::string> in_processes(int64_t size,
                                             const std::function<void(ThreadProcess&)>& work) {
  ThreadGroup group(size);
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      ThreadProcess process(group, rank, size);
      std::string& error = errors[static_cast<size_t>(rank)];
      try {
        work(process);
      } catch (const Error& failure) {
        error = std::to_string(static_cast<int>(failure.code())) + " " + failure.id() + ": " +
                failure.text().where + ": " + failure.text().message;
        group.leave();
      } catch (const std::exception& failure) {
        error = failure.what();
        group.leave();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace lathe::test
