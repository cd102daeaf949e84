#include "layers/run_tasks.h"

#include <c10/core/InferenceMode.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

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
  std::vector<std::thread> others;
  for (int i = 1; i < threads && i < static_cast<int>(tasks.size()); ++i) others.emplace_back(loop);
  loop();
  for (std::thread& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lathe
