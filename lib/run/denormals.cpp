#include "run/denormals.h"

#include <ATen/ATen.h>
#include <omp.h>

#include "run/threads.h"

namespace lathe {

bool flush_denormals(bool flush) {
  const bool done = at::globalContext().setFlushDenormal(flush);
  const int threads = thread_count();
#pragma omp parallel num_threads(threads)
  at::globalContext().setFlushDenormal(flush);
  return done;
}

}  // namespace lathe
