// Divides independent units of work among the threads of the OpenMP pool, which LibTorch and oneDNN
// share.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "program/flush_denormals.h"

namespace lathe {

/// Calls `body(thread, begin, end)` for ranges that cover 0..count, denormal numbers being zeros
/// meanwhile; never for no units. `bytes`: memory that all units touch; little work is not worth
/// waking a thread for.
template <class Body>
void parallel_for(int threads, int64_t count, int64_t bytes, const Body& body) {
  constexpr int64_t kWorthAThread = 16384;
  if (count <= 0) return;
  const int64_t useful =
      std::min<int64_t>({threads, omp_get_max_threads(), count, 1 + bytes / kWorthAThread});
  if (useful <= 1) {
    const FlushDenormals here;
    body(0, int64_t{0}, count);
    return;
  }
  // Always the whole pool: libgomp ends threads that a smaller team does not need, and starts new
  // ones for the next step.
#pragma omp parallel num_threads(threads)
  {
    const int64_t number = std::min<int64_t>(useful, omp_get_num_threads());
    const int64_t self = omp_get_thread_num();
    if (self < number) {
      const FlushDenormals here;
      body(static_cast<int>(self), count * self / number, count * (self + 1) / number);
    }
  }
}

}  // namespace lathe
