#include "run/denormals.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

namespace lathe {

bool flush_denormals(bool flush) {
  const bool done = at::globalContext().setFlushDenormal(flush);
  const int threads = at::get_num_threads();
#pragma omp parallel num_threads(threads)
  at::globalContext().setFlushDenormal(flush);
  return done;
}

}  // namespace lathe
