// Threads that start their work at the same moment, each on a CPU of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace lathe {

class ThreadTeam {
 public:
  /// Several threads are pinned to different CPUs of this process while there are enough: the
  /// scheduler would leave two of them on one CPU for as long as the test lasts. One alone is not.
  /// Throws Error (exit 6) when the system refuses a thread.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// Runs work(0) … work(threads - 1), which must not throw, at once, and sleeps meanwhile; the
  /// time in ns from the first start to the last end.
  int64_t run(const std::function<void(int)>& work);
  int threads() const { return static_cast<int>(starts_.size()); }

 private:
  void serve(int index);
  void stop();

  const std::function<void(int)>* work_ = nullptr;
  std::atomic<int64_t> round_{0};
  std::atomic<int> ready_{0};
  std::atomic<int> done_{0};
  std::atomic<bool> stopping_{false};
  std::vector<int> cpus_;  // of the threads; empty: not pinned
  std::vector<int64_t> starts_;
  std::vector<int64_t> ends_;
  std::vector<std::thread> threads_;
};

}  // namespace lathe
