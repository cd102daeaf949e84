// Denormal numbers as zeros: some kernels are many times slower with them. Threads belong to the
// host, which gets back the mode that it had.
#pragma once

#include <immintrin.h>
#include <omp.h>

#include <span>

namespace lathe {

constexpr unsigned kFlushAndZero = 0x8040;  // FTZ and DAZ

/// In the calling thread.
class FlushDenormals {
 public:
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushAndZero); }
  ~FlushDenormals() { _mm_setcsr(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_;
};

/// In the calling thread's whole pool, for steps that divide their work by themselves. Costs two
/// rounds of the pool.
class FlushDenormalsInPool {
 public:
  /// `before`: room for one word a thread; empty: nothing is done.
  explicit FlushDenormalsInPool(std::span<unsigned> before) : before_(before) {
    if (before_.empty()) return;
      // Threads that are made here inherit the host's mode, not ours.
#pragma omp parallel num_threads(static_cast <int>(before_.size()))
    {
      const unsigned mode = _mm_getcsr();
      before_[static_cast<size_t>(omp_get_thread_num())] = mode;
      _mm_setcsr(mode | kFlushAndZero);
      if (omp_get_thread_num() == 0) team_ = omp_get_num_threads();
    }
  }
  ~FlushDenormalsInPool() {
    if (before_.empty()) return;
#pragma omp parallel num_threads(team_)
    _mm_setcsr(before_[static_cast<size_t>(omp_get_thread_num())]);
  }
  FlushDenormalsInPool(const FlushDenormalsInPool&) = delete;
  FlushDenormalsInPool& operator=(const FlushDenormalsInPool&) = delete;

 private:
  std::span<unsigned> before_;
  int team_ = 1;
};

}  // namespace lathe
