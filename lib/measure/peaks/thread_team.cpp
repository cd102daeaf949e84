#include "peaks/thread_team.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "ir/error.h"

namespace lathe {
namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// As many CPUs of the affinity mask as there are threads; none when there are fewer, or more than
// the fixed mask holds.
std::vector<int> own_cpus(size_t threads) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (threads < 2 || ::sched_getaffinity(0, sizeof mask, &mask) != 0) return {};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE && cpus.size() < threads; ++cpu)
    if (CPU_ISSET(static_cast<size_t>(cpu), &mask)) cpus.push_back(cpu);
  if (cpus.size() < threads) cpus.clear();
  return cpus;
}

// Failing to pin costs precision only.
void pin_to(int cpu) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(static_cast<size_t>(cpu), &mask);
  ::sched_setaffinity(0, sizeof mask, &mask);
}

}  // namespace

ThreadTeam::ThreadTeam(int threads)
    : cpus_(own_cpus(static_cast<size_t>(std::max(1, threads)))),
      starts_(static_cast<size_t>(std::max(1, threads))),
      ends_(starts_.size()) {
  try {
    for (int i = 0; i < this->threads(); ++i) threads_.emplace_back([this, i] { serve(i); });
  } catch (const std::system_error&) {
    stop();
    throw bad_environment("environment.threads", "the system refuses to start a thread", {},
                          "use fewer --threads");
  }
}

ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::stop() {
  stopping_ = true;
  ++round_;
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

int64_t ThreadTeam::run(const std::function<void(int)>& work) {
  work_ = &work;
  ready_ = 0;
  done_ = 0;
  ++round_;
  round_.notify_all();
  for (int done = done_.load(); done != threads(); done = done_.load()) done_.wait(done);
  return *std::max_element(ends_.begin(), ends_.end()) -
         *std::min_element(starts_.begin(), starts_.end());
}

void ThreadTeam::serve(int index) {
  const auto at = static_cast<size_t>(index);
  if (!cpus_.empty()) pin_to(cpus_[at]);
  for (int64_t seen = 0;; ++seen) {
    round_.wait(seen);
    if (stopping_.load()) return;
    ++ready_;
    // Sleeping here would make some start later than others; yielding lets those run that share
    // this CPU and are not there yet.
    for (int spins = 0; ready_.load() != threads(); ++spins)
      if (spins > 1000) std::this_thread::yield();
    starts_[at] = now();
    (*work_)(index);
    ends_[at] = now();
    ++done_;
    done_.notify_one();
  }
}

}  // namespace lathe
