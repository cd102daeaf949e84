// Chrome traces as `lathe trace` reads them: lathe's own, and the profiles of ONNX Runtime.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe {

/// A complete event (ph X).
struct StageEvent {
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  uint32_t name = 0;  // index into TraceFile::names
  uint32_t op = 0;    // the same, of args.op_name; 0: it is no node
  uint32_t thread = 0;
};

/// A value of a counter (ph C).
struct CounterEvent {
  int64_t time_ns = 0;
  double value = 0;
  uint32_t name = 0;
};

struct TraceThreadName {
  int64_t pid = 0;
  int64_t tid = 0;
  std::string name;  // empty: not told
};

struct TraceFile {
  std::vector<StageEvent> events;  // in the file's order
  std::vector<CounterEvent> counters;
  std::vector<std::string> names{""};  // each once; UTF-8, untrusted
  std::vector<TraceThreadName> threads;
  int64_t start_ns = 0;  // of the first event; 0 when there is none
  int64_t end_ns = 0;    // of the last one
  int64_t ignored = 0;   // events of other kinds
  int64_t dropped = 0;   // that the writer had no room for, as it says
};

struct TraceFileLimits {
  int64_t max_bytes = int64_t{1} << 30;
  size_t max_events = 5'000'000;
  size_t max_names = 1'000'000;
  size_t max_name_bytes = 64u << 20;  // of all names together
  size_t max_threads = 4096;
};

/// Reads in one pass; memory grows with the events, not with the file. The form is an array of
/// events or an object with "traceEvents". "_kernel_time" is taken off the names of nodes. Throws
/// Error: exit 3 (with file and line) for what is no JSON, no trace, or an event whose times are no
/// times; exit 8 for more than `limits` allow.
TraceFile read_trace(const std::string& path, const TraceFileLimits& limits = {});

}  // namespace lathe
