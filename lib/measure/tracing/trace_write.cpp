#include "tracing/trace_write.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "os/publish.h"

namespace lathe {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

struct PlacedEvent {
  const TraceEvent* event;
  int tid;
};

std::vector<PlacedEvent> sorted_events(const Trace& trace) {
  std::vector<PlacedEvent> events;
  events.reserve(trace.size());
  int tid = 0;
  for (const TraceThread& thread : trace.threads()) {
    ++tid;
    for (size_t i = 0; i < thread.size(); ++i) events.push_back({&thread.event(i), tid});
  }
  // Stable: of two that start together, the outer one was begun first.
  std::stable_sort(events.begin(), events.end(), [](const PlacedEvent& a, const PlacedEvent& b) {
    return a.event->start_ns < b.event->start_ns;
  });
  return events;
}

class Writer {
 public:
  Writer(TraceForm form, const std::function<void(std::string_view)>& write)
      : form_(form), write_(write), pid_(getpid()) {}

  void text(std::string_view piece) {
    buffer_ += piece;
    if (buffer_.size() >= kPieceBytes) flush();
  }
  void flush() {
    write_(buffer_);
    buffer_.clear();
  }
  void metadata(std::string_view what, int tid, std::string_view name) {
    next();
    fmt::format_to(std::back_inserter(buffer_),
                   R"({{"cat":"__metadata","name":"{}","ph":"M","pid":{},"tid":{},"args":)"
                   R"({{"name":{}}}}})",
                   what, pid_, tid, trace_string(name));
  }
  void event(const PlacedEvent& placed, const Trace& trace) {
    const TraceEvent& event = *placed.event;
    const Trace::LabelText& label = trace.text(event.label);
    const int64_t start = event.start_ns - trace.start_ns();
    next();
    fmt::format_to(std::back_inserter(buffer_),
                   R"({{"cat":{},"name":{},"ph":"{}","pid":{},"tid":{})",
                   trace_string(label.category), trace_string(label.name),
                   event.is_counter ? 'C' : 'X', pid_, placed.tid);
    if (event.is_counter) {
      time("ts", form_ == TraceForm::kArray ? floored(start) : start);
      fmt::format_to(std::back_inserter(buffer_), R"(,"args":{{{}:{}}}}})",
                     trace_string(label.args), event.duration_ns);
    } else {
      const int64_t end =
          event.duration_ns < 0 ? trace.now() - trace.start_ns() : start + event.duration_ns;
      // Rounding both ends down keeps what was nested nested.
      const bool whole = form_ == TraceForm::kArray;
      const int64_t from = whole ? floored(start) : start;
      time("ts", from);
      time("dur", (whole ? floored(end) : end) - from);
      buffer_ += ",\"args\":";
      buffer_ += label.args;
      buffer_ += "}";
    }
    text({});
  }
  void dropped(size_t count) {
    next();
    fmt::format_to(std::back_inserter(buffer_),
                   R"({{"cat":"Trace","name":"dropped events","ph":"i","s":"g","pid":{},"tid":1,)"
                   R"("ts":0,"args":{{"dropped":{}}}}})",
                   pid_, count);
  }

 private:
  static int64_t floored(int64_t nanoseconds) {
    return nanoseconds - ((nanoseconds % 1000) + 1000) % 1000;
  }
  void next() {
    buffer_ += first_ ? "\n" : ",\n";
    first_ = false;
  }
  void time(std::string_view key, int64_t nanoseconds) {
    const bool negative = nanoseconds < 0;
    const int64_t size = negative ? -nanoseconds : nanoseconds;
    fmt::format_to(std::back_inserter(buffer_), ",\"{}\":{}{}", key, negative ? "-" : "",
                   size / 1000);
    if (form_ == TraceForm::kObject)
      fmt::format_to(std::back_inserter(buffer_), ".{:03}", size % 1000);
  }

  TraceForm form_;
  const std::function<void(std::string_view)>& write_;
  int pid_;
  std::string buffer_;
  bool first_ = true;
};

}  // namespace

TraceForm trace_form_of(std::string_view path) {
  return path.ends_with(".ort.json") ? TraceForm::kArray : TraceForm::kObject;
}

void write_trace(const Trace& trace, const TraceFacts& facts, TraceForm form,
                 const std::function<void(std::string_view)>& write) {
  Writer writer(form, write);
  if (form == TraceForm::kObject) {
    auto other = facts.other;
    other.emplace_back("dropped_events", std::to_string(trace.dropped()));
    writer.text("{\"displayTimeUnit\":\"ns\",\"otherData\":" + trace_args(other) +
                ",\"traceEvents\":[");
  } else {
    writer.text("[");
  }
  writer.metadata("process_name", 0, facts.process);
  int tid = 0;
  for (const TraceThread& thread : trace.threads())
    writer.metadata("thread_name", ++tid, thread.name());
  if (trace.dropped() > 0) writer.dropped(trace.dropped());
  for (const PlacedEvent& event : sorted_events(trace)) writer.event(event, trace);
  writer.text(form == TraceForm::kObject ? "\n]}\n" : "\n]\n");
  writer.flush();
}

void publish_trace(const Trace& trace, const TraceFacts& facts, const std::string& path,
                   bool replace, TraceForm form) {
  StagedFile file(path);
  write_trace(trace, facts, form, [&](std::string_view piece) { file.write(piece); });
  std::vector<StagedFile> files;
  files.push_back(std::move(file));
  publish(std::move(files), replace);
}

}  // namespace lathe
