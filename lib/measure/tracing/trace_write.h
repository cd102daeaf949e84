// A Trace as a file.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/trace.h"

namespace lathe {

enum class TraceForm {
  /// {"displayTimeUnit": "ns", "otherData": {…}, "traceEvents": […]}, times in microseconds with
  /// three decimals. For Perfetto, chrome://tracing and `lathe trace`.
  kObject,
  /// The bare array with whole microseconds that ONNX Runtime writes and that its
  /// profile_result_processor and perf_view read.
  kArray,
};

/// "x.ort.json" asks for the array; everything else is an object.
TraceForm trace_form_of(std::string_view path);

struct TraceFacts {
  std::string process = "lathe";
  /// Strings for "otherData": model, engine, threads, version.
  std::vector<std::pair<std::string, std::string>> other;
};

/// Hands the text to `write` in pieces. Every event has cat, name, ph, pid, tid and, but for
/// metadata, ts since the trace began; scopes (ph X) have dur and args, counters (ph C) their
/// value. Sorted by start, an enclosing scope before what lies inside of it. A scope that has not
/// ended lasts until now. Dropped events are told in otherData and as an instant event's args.
/// The trace's threads must have stopped recording.
void write_trace(const Trace& trace, const TraceFacts& facts, TraceForm form,
                 const std::function<void(std::string_view)>& write);

/// The same into a file, atomically. Throws Error (exit 9, or 2 when it exists and not `replace`).
void publish_trace(const Trace& trace, const TraceFacts& facts, const std::string& path,
                   bool replace, TraceForm form);

}  // namespace lathe
