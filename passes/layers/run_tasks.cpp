#include "layers/run_tasks.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "run/threads.h"

namespace lathe {

void run_tasks(const std::vector<std::function<void()>>& tasks, int threads) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto loop = [&] {
    const SingleThreaded single;
    const c10::InferenceMode inference;
    for (size_t i = next++; i < tasks.size(); i = next++) {
      try {
        tasks[i]();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  const size_t count = std::min(tasks.size(), static_cast<size_t>(std::max(threads, 1)));
  std::vector<std::thread> others;
  others.reserve(count);
  try {
    for (size_t i = 1; i < count; ++i) others.emplace_back(loop);
  } catch (const std::exception&) {
    // No more threads (system_error) or no memory for one: those that run do the work.
  }
  loop();
  for (std::thread& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lathe
