#include "load/workers.h"

#include <sys/prctl.h>

#include <chrono>
#include <exception>
#include <future>
#include <latch>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

struct Failure {
  std::mutex mutex;
  std::exception_ptr first;
  std::atomic<bool> stop = false;

  void note() {
    const std::lock_guard lock(mutex);
    if (!first) first = std::current_exception();
    stop = true;
  }
};

}  // namespace

void run_workers(size_t count, const WorkerSteps& steps) {
  if (count < 1 || count > kMaxWorkers) {
    throw bad_usage("bench.bad_worker_count", "cannot run " + std::to_string(count) + " workers",
                    {}, "ask for 1 to " + std::to_string(kMaxWorkers));
  }
  Failure failure;
  std::latch prepared(static_cast<std::ptrdiff_t>(count));
  std::promise<void> gate;
  const std::shared_future<void> open = gate.get_future().share();
  const auto work = [&](size_t worker) {
    try {
      if (steps.prepare) steps.prepare(worker);
    } catch (...) {
      failure.note();
    }
    prepared.count_down();
    open.wait();
    if (failure.stop) return;
    try {
      steps.run(worker, failure.stop);
    } catch (...) {
      failure.note();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    for (size_t worker = 0; worker < count; ++worker) threads.emplace_back(work, worker);
    prepared.wait();
    if (!failure.stop && steps.at_start) steps.at_start();
  } catch (const std::system_error& e) {
    const std::lock_guard lock(failure.mutex);
    failure.stop = true;
    failure.first = std::make_exception_ptr(
        bad_environment("bench.no_thread",
                        "started " + std::to_string(threads.size()) + " of " +
                            std::to_string(count) + " threads: " + e.what(),
                        {}, "ask for fewer workers or streams"));
  } catch (...) {
    failure.note();
  }
  gate.set_value();
  for (std::thread& thread : threads) thread.join();
  if (failure.first) std::rethrow_exception(failure.first);
}

void sleep_exactly(int64_t ns) {
  if (ns <= 0) return;
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  std::this_thread::sleep_for(std::chrono::nanoseconds(ns));
}

}  // namespace lathe
