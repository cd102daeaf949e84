// Which stages of a trace took how long.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "commands/trace/read_trace.h"
#include "os/glob.h"

namespace lathe {

struct TraceFilter {
  std::optional<Selector> name;   // of the stage, or "op:Conv*"
  std::optional<int64_t> thread;  // the file's tid
  /// Since the trace's first event. Stages that reach over an end of the window are cut there.
  int64_t from_ns = 0;
  int64_t to_ns = std::numeric_limits<int64_t>::max();
};

/// A stage that passed the filter.
struct KeptEvent {
  int64_t start_ns = 0;  // since the trace's first event
  int64_t duration_ns = 0;
  double self_ns = 0;  // without what lies inside of it on the same thread
  uint32_t name = 0;
  uint32_t op = 0;
  uint32_t thread = 0;
  uint32_t depth = 0;  // stages that it lies in
};

struct StageTime {
  uint32_t name = 0;  // of TraceFile::names; 0 in a summary by op type
  uint32_t op = 0;
  size_t calls = 0;
  double total_ns = 0;
  double self_ns = 0;
  double median_ns = 0;  // of one call
  double share = 0;      // self_ns of all self time in the window and thread, whatever its name
};

struct ThreadTime {
  uint32_t thread = 0;
  size_t events = 0;
  double busy_ns = 0;  // some stage was running
  double share = 0;    // of the window
};

struct TraceSummary {
  std::vector<KeptEvent> events;  // by thread, then by start
  std::vector<StageTime> stages;  // most self time first
  std::vector<StageTime> ops;     // nodes by op type, most total time first
  std::vector<ThreadTime> threads;
  int64_t window_ns = 0;
};

TraceSummary summarize_trace(const TraceFile& trace, const TraceFilter& filter);

}  // namespace lathe
