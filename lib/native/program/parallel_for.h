// Divides independent units of work among the threads of the OpenMP pool, which LibTorch and oneDNN
// share.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace lathe {

/// Calls `body(thread, begin, end)` for ranges that cover 0..count. `bytes`: memory that all units
/// touch; little work is not worth waking a thread for.
template <class Body>
void parallel_for(int threads, int64_t count, int64_t bytes, const Body& body) {
  constexpr int64_t kWorthAThread = 16384;
  const int64_t useful = std::min(count, 1 + bytes / kWorthAThread);
  const int team = static_cast<int>(std::min<int64_t>(threads, useful));
  if (team <= 1) {
    body(0, int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(team)
  {
    const int64_t number = omp_get_num_threads();
    const int64_t self = omp_get_thread_num();
    body(static_cast<int>(self), count * self / number, count * (self + 1) / number);
  }
}

}  // namespace lathe
