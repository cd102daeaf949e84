// How many threads parallel regions have.
#pragma once

#include <omp.h>

namespace lathe {

/// While it lives, the calling thread starts parallel regions with so many threads, oneDNN's and
/// LibTorch's included; oneDNN's primitives run with as many as they were made with.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
  }
  ~OpenMpThreads() { omp_set_num_threads(before_); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int before_;
};

}  // namespace lathe
