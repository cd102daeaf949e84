#include "heavy/threads.h"

#include <malloc.h>

#include "os/host.h"
#include "run/threads.h"

namespace lathe {

int use_threads(const CommonOptions& common) {
  const int threads = common.threads > 0 ? common.threads : usable_cpus();
  set_thread_count(threads);
  // Activations of one sample are allocated and freed over and over: keep their pages instead of
  // giving them back to the kernel and faulting them in again (half the time of an evaluation).
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  return threads;
}

}  // namespace lathe
