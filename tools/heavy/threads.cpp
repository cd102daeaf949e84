#include "heavy/threads.h"

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

#include "ir/error.h"
#include "os/host.h"
#include "os/quantity.h"
#include "run/denormals.h"
#include "run/threads.h"

namespace lathe {
namespace {

// OpenMP ends the process where a thread cannot be started: their stacks are counted before.
void check_stacks(int threads) {
  rlimit limit{};
  pthread_attr_t attributes;
  size_t stack = 0;
  if (::getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  if (::pthread_getattr_default_np(&attributes) != 0) return;
  ::pthread_attr_getstacksize(&attributes, &stack);
  ::pthread_attr_destroy(&attributes);
  const auto most = static_cast<int64_t>(limit.rlim_cur / 4 * 3);
  const int64_t needed = threads * static_cast<int64_t>(stack);
  if (needed > most)
    throw over_limit("limit.threads",
                     fmt::format("the stacks of {} threads take {}, the memory limit leaves {}",
                                 threads, bytes_text(needed), bytes_text(most)),
                     "--threads", "fewer threads, or more memory (--max-memory)");
}

}  // namespace

int use_threads(const CommonOptions& common) {
  const int threads = common.threads > 0 ? common.threads : usable_cpus();
  check_stacks(threads);
  set_thread_count(threads);
  flush_denormals(true);
  // Activations of one sample are allocated and freed over and over: keep their pages instead of
  // giving them back to the kernel and faulting them in again (half the time of an evaluation).
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  return threads;
}

void warn_of_crowding(const std::string& id, int threads, Console& console) {
  if (threads > usable_cpus())
    console.warn(id, fmt::format("{} threads share {} usable CPUs", threads, usable_cpus()));
}

}  // namespace lathe
