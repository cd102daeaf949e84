// Memory over time: the process' resident bytes as a counter of a trace.
#pragma once

#include <cstdint>
#include <optional>

#include "tracing/trace.h"

namespace lathe {

/// Reads resident memory at the cost of one system call and without allocating.
class ResidentMeter {
 public:
  ResidentMeter();
  ~ResidentMeter();
  ResidentMeter(const ResidentMeter&) = delete;
  ResidentMeter& operator=(const ResidentMeter&) = delete;

  /// Bytes; nullopt where /proc/self/statm cannot be read.
  std::optional<int64_t> bytes() const;

 private:
  int descriptor_ = -1;
};

/// Records the counter "resident memory" (bytes), at most once in `interval_ns`. To be called
/// between nodes or iterations, by the thread that `thread` belongs to.
class TraceMemory {
 public:
  TraceMemory(Trace& trace, TraceThread& thread, int64_t interval_ns = 1'000'000)
      : thread_(thread),
        label_(trace.counter("resident memory", "bytes")),
        interval_ns_(interval_ns) {}

  void sample();

 private:
  ResidentMeter meter_;
  TraceThread& thread_;
  TraceLabel label_;
  int64_t interval_ns_;
  std::optional<int64_t> last_ns_;
};

}  // namespace lathe
