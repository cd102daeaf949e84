// Denormal numbers as zeros: some kernels are many times slower with them. Threads belong to the
// host, which gets back the mode that it had.
#pragma once

#include <omp.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <span>

namespace lathe {

/// The mode of floats in the calling thread. Other processors than these keep theirs.
#if defined(__x86_64__)
constexpr unsigned kFlushAndZero = 0x8040;  // MXCSR: FTZ and DAZ
inline unsigned float_mode() { return _mm_getcsr(); }
inline void set_float_mode(unsigned mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
constexpr unsigned kFlushAndZero = 1U << 24;  // FPCR: FZ
inline unsigned float_mode() { return __builtin_aarch64_get_fpcr(); }
inline void set_float_mode(unsigned mode) { __builtin_aarch64_set_fpcr(mode); }
#else
constexpr unsigned kFlushAndZero = 0;
inline unsigned float_mode() { return 0; }
inline void set_float_mode(unsigned) {}
#endif

/// In the calling thread.
class FlushDenormals {
 public:
  FlushDenormals() : before_(float_mode()) { set_float_mode(before_ | kFlushAndZero); }
  ~FlushDenormals() { set_float_mode(before_); }
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
      const unsigned mode = float_mode();
      before_[static_cast<size_t>(omp_get_thread_num())] = mode;
      set_float_mode(mode | kFlushAndZero);
      if (omp_get_thread_num() == 0) team_ = omp_get_num_threads();
    }
  }
  ~FlushDenormalsInPool() {
    if (before_.empty()) return;
#pragma omp parallel num_threads(team_)
    set_float_mode(before_[static_cast<size_t>(omp_get_thread_num())]);
  }
  FlushDenormalsInPool(const FlushDenormalsInPool&) = delete;
  FlushDenormalsInPool& operator=(const FlushDenormalsInPool&) = delete;

 private:
  std::span<unsigned> before_;
  int team_ = 1;
};

}  // namespace lathe
