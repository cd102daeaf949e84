// Scoped events of several threads, recorded at the cost of two clock readings each, and written as
// a Chrome trace (trace_write.h) that Perfetto, chrome://tracing and `lathe trace` show.
//
//   Trace trace;
//   TraceThread& main = trace.thread("main");
//   const TraceLabel load = trace.label("Session", "model_loading_uri");
//   { const TraceScope scope(main, load); model = open_model(…); }
//   …
//   const TraceRuns runs = trace_runs(engine, graph, shapes, trace, main);      // trace_runs.h
//   publish_trace(trace, {"lathe bench", {{"model", name}}}, path, force,
//                 trace_form_of(path));                                         // trace_write.h
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "statistics/clock.h"

namespace lathe {

/// What ONNX Runtime calls its own phases, so that its summarisers find them: loading a file,
/// preparing it (they skip everything before), one inference.
constexpr std::string_view kTraceSession = "Session";
constexpr std::string_view kTraceLoad = "model_loading_uri";
constexpr std::string_view kTracePrepare = "session_initialization";
constexpr std::string_view kTraceRun = "model_run";
/// Phases of the benchmark: "first inference", "warm-up", "measure", ….
constexpr std::string_view kTracePhase = "Phase";
/// Nodes of the graph.
constexpr std::string_view kTraceNode = "Node";

/// The name under which events are recorded.
struct TraceLabel {
  uint32_t index = 0;
};

struct TraceEvent {
  int64_t start_ns = 0;     // of the trace's clock
  int64_t duration_ns = 0;  // -1: not ended yet; of a counter: its value
  TraceLabel label;
  bool is_counter = false;
};

/// The events of one thread, recorded by that thread alone. Room for all of them was made when it
/// was created: recording allocates nothing and takes no lock.
class TraceThread {
 public:
  static constexpr size_t kDropped = std::numeric_limits<size_t>::max();

  TraceThread(std::string name, size_t max_events, int64_t (*clock)())
      : name_(std::move(name)), clock_(clock), events_(max_events) {}
  TraceThread(const TraceThread&) = delete;
  TraceThread& operator=(const TraceThread&) = delete;

  /// Starts an event; the returned number ends it. kDropped when there is no room.
  size_t begin(TraceLabel label) {
    const size_t slot = claim();
    if (slot != kDropped) events_[slot] = {clock_(), -1, label, false};
    return slot;
  }
  void end(size_t slot) {
    if (slot != kDropped) events_[slot].duration_ns = clock_() - events_[slot].start_ns;
  }
  /// An event that has just ended and took so long.
  void ended(TraceLabel label, int64_t duration_ns) {
    const size_t slot = claim();
    if (slot != kDropped) events_[slot] = {clock_() - duration_ns, duration_ns, label, false};
  }
  /// An event whose times are known, on the trace's clock.
  void record(TraceLabel label, int64_t start_ns, int64_t duration_ns) {
    const size_t slot = claim();
    if (slot != kDropped) events_[slot] = {start_ns, duration_ns, label, false};
  }
  /// The value of a counter now; `label` comes from Trace::counter.
  void count(TraceLabel label, int64_t value) {
    const size_t slot = claim();
    if (slot != kDropped) events_[slot] = {clock_(), value, label, true};
  }

  const std::string& name() const { return name_; }
  size_t size() const { return size_; }
  const TraceEvent& event(size_t i) const { return events_[i]; }
  /// Events that found no room.
  size_t dropped() const { return dropped_; }

 private:
  size_t claim() {
    if (size_ < events_.size()) return size_++;
    ++dropped_;
    return kDropped;
  }

  std::string name_;
  int64_t (*clock_)();
  std::vector<TraceEvent> events_;
  size_t size_ = 0;
  size_t dropped_ = 0;
};

/// An event that lasts as long as the object; events begun meanwhile lie inside of it.
class TraceScope {
 public:
  TraceScope(TraceThread& thread, TraceLabel label) : thread_(thread), slot_(thread.begin(label)) {}
  ~TraceScope() { thread_.end(slot_); }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  TraceThread& thread_;
  size_t slot_;
};

struct TraceOptions {
  /// Of each thread, 24 bytes each; further events are counted, not kept. A written node event
  /// takes some 400 bytes of the file.
  size_t max_events = 100'000;
  int64_t (*clock)() = now_ns;
  int64_t start_ns = 0;  // what the file counts as 0, on that clock; 0: when the trace is made
};

/// Labels and threads. Both may be added at any time by any thread; what was returned lives as long
/// as the trace.
class Trace {
 public:
  explicit Trace(TraceOptions options = {});
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// A row of the timeline; to be asked for once by each thread that records.
  TraceThread& thread(std::string name);
  /// A new label for scopes. `args` is a JSON object ("{}": nothing to tell), see trace_args.
  TraceLabel label(std::string_view category, std::string_view name, std::string args = "{}");
  /// A label for TraceThread::count; `unit` names the value ("bytes").
  TraceLabel counter(std::string_view name, std::string_view unit);

  struct LabelText {
    std::string category;
    std::string name;
    std::string args;  // of a counter: the value's name
  };

  /// To be read when no thread records any more.
  const std::deque<TraceThread>& threads() const { return threads_; }
  const LabelText& text(TraceLabel label) const { return labels_[label.index]; }
  int64_t start_ns() const { return start_ns_; }
  int64_t now() const { return options_.clock(); }
  size_t dropped() const;
  size_t size() const;

 private:
  TraceOptions options_;
  int64_t start_ns_ = 0;
  std::mutex mutex_;
  std::deque<TraceThread> threads_;
  std::deque<LabelText> labels_;
};

/// A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string trace_string(std::string_view text);
/// A JSON object whose values are strings.
std::string trace_args(const std::vector<std::pair<std::string, std::string>>& args);

}  // namespace lathe
