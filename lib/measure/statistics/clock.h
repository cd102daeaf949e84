// The clock that latencies are read from.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace lathe {

/// Nanoseconds of the steady clock since an arbitrary moment.
inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Where time comes from: now_ns, or a simulated clock in tests.
using Clock = std::function<int64_t()>;

}  // namespace lathe
