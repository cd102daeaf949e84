#include "commands/trace/read_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "commands/trace/trace_text.h"
#include "ir/error.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

// Microseconds: far enough for times since 1970, and three of them (from the first start to the
// last end) in nanoseconds fit 64 bits.
constexpr double kMaxMicroseconds = 3e15;

struct RawEvent {
  std::string name;
  std::string phase;
  std::string op;        // args.op_name
  std::string new_name;  // args.name, of metadata
  std::optional<double> ts;
  std::optional<double> dur;
  std::optional<double> counter;  // the first number of args
  double dropped = 0;
  int64_t pid = 0;
  int64_t tid = 0;
  unsigned seen = 0;  // keys, one bit each
};

struct Scalar {
  std::optional<double> number;
  const std::string* text = nullptr;
};

// Builds the events from the parser's calls; nothing else of the document is kept.
class TraceBuilder {
 public:
  TraceBuilder(const TraceText& text, const TraceFileLimits& limits)
      : text_(text), limits_(limits) {
    ids_.emplace("", 0);
  }

  TraceFile take() {
    if (!found_events_) throw not_a_trace("neither an array of events nor \"traceEvents\"");
    if (!has_times_) trace_.start_ns = trace_.end_ns = 0;
    return std::move(trace_);
  }

  bool null() { return scalar({}); }
  bool boolean(bool) { return scalar({}); }
  bool number_integer(int64_t value) { return scalar({static_cast<double>(value), nullptr}); }
  bool number_unsigned(uint64_t value) { return scalar({static_cast<double>(value), nullptr}); }
  bool number_float(double value, const std::string&) { return scalar({value, nullptr}); }
  bool string(std::string& value) { return scalar({std::nullopt, &value}); }
  bool binary(json::binary_t&) { throw InternalError("binary value in JSON text"); }
  bool key(std::string& name) {
    key_ = name;
    if (place() != Place::kEvent) {
      const bool is_events = place() == Place::kTop && name == "traceEvents";
      if (is_events && found_events_) throw duplicate(name);
      return true;
    }
    static constexpr std::array<std::string_view, 7> kKeys{"name", "ph",  "ts",  "dur",
                                                           "pid",  "tid", "args"};
    for (size_t i = 0; i < kKeys.size(); ++i) {
      if (name != kKeys[i]) continue;
      if ((event_.seen & (1u << i)) != 0) throw duplicate(name);
      event_.seen |= 1u << i;
    }
    return true;
  }
  bool start_object(size_t) {
    switch (stack_.empty() ? Place::kNone : place()) {
      case Place::kNone: return enter(Place::kTop);
      case Place::kEvents: event_ = {}; return enter(Place::kEvent);
      case Place::kEvent: return enter(key_ == "args" ? Place::kArgs : Place::kOther);
      default: return enter(Place::kOther);
    }
  }
  bool start_array(size_t) {
    if (!stack_.empty() && place() == Place::kEvents) throw not_a_trace("an event is an object");
    const bool is_events = stack_.empty() || (place() == Place::kTop && key_ == "traceEvents");
    found_events_ |= is_events;
    return enter(is_events ? Place::kEvents : Place::kOther);
  }
  bool end_object() {
    if (place() == Place::kEvent) finish_event();
    stack_.pop_back();
    return true;
  }
  bool end_array() {
    stack_.pop_back();
    return true;
  }
  bool parse_error(size_t, const std::string&, const json::exception& problem) {
    std::string_view what = problem.what();
    const size_t found = what.find("syntax error ");
    if (found != std::string_view::npos) what.remove_prefix(found);
    throw bad_input("trace.syntax", escape_untrusted(what, 300), text_.place(),
                    text_.at_end() ? "the program that wrote the trace did not end it" : "");
  }

 private:
  enum class Place : uint8_t { kNone, kTop, kEvents, kEvent, kArgs, kOther };

  Place place() const { return stack_.back(); }
  bool enter(Place place) {
    if (stack_.size() >= static_cast<size_t>(kMaxJsonDepth))
      throw over_limit("json.depth", fmt::format("nested deeper than {} levels", kMaxJsonDepth),
                       text_.place());
    stack_.push_back(place);
    return true;
  }
  Error not_a_trace(const std::string& message) const {
    return bad_input(
        "trace.form", message, text_.place(),
        "lathe trace reads what lathe bench --trace and ONNX Runtime's profiler write");
  }
  Error duplicate(const std::string& name) const {
    return bad_input("json.duplicate_key",
                     fmt::format("the key \"{}\" appears twice", escape_untrusted(name)),
                     text_.place());
  }
  Error bad_event(const std::string& message) const {
    return bad_input("trace.event", message, text_.place());
  }

  bool scalar(const Scalar& value) {
    if (stack_.empty()) throw not_a_trace("a single value is no trace");
    if (place() == Place::kEvents) throw not_a_trace("an event is an object");
    if (place() == Place::kEvent) take_field(value);
    if (place() == Place::kArgs) take_arg(value);
    if (place() == Place::kOther && stack_.size() == 2 && key_ == "dropped_events" && value.text)
      std::from_chars(value.text->data(), value.text->data() + value.text->size(), trace_.dropped);
    return true;
  }
  void take_field(const Scalar& value) {
    const auto text = [&] {
      if (value.text == nullptr)
        throw bad_event(fmt::format("\"{}\" of an event is no text", key_));
      return *value.text;
    };
    const auto time = [&] {
      if (!value.number || !(std::abs(*value.number) <= kMaxMicroseconds))
        throw bad_event(fmt::format("\"{}\" of an event is no time in microseconds", key_));
      return *value.number;
    };
    if (key_ == "name") event_.name = text();
    if (key_ == "ph") event_.phase = text();
    if (key_ == "ts") event_.ts = time();
    if (key_ == "dur") event_.dur = time();
    if (key_ == "pid") event_.pid = number_of(value);
    if (key_ == "tid") event_.tid = number_of(value);
  }
  // A process or thread may be named by text; the text's hash then stands for it.
  static int64_t number_of(const Scalar& value) {
    if (value.text != nullptr)
      return static_cast<int64_t>(std::hash<std::string>{}(*value.text) >> 2);
    const double number = value.number.value_or(0);
    return std::abs(number) < 9e15 ? static_cast<int64_t>(number) : 0;
  }
  void take_arg(const Scalar& value) {
    if (value.text != nullptr && key_ == "op_name") event_.op = *value.text;
    if (value.text != nullptr && key_ == "name") event_.new_name = *value.text;
    if (value.number && !event_.counter) event_.counter = value.number;
  }

  void finish_event() {
    if (event_.phase.empty()) throw bad_event("an event without \"ph\"");
    if (event_.phase == "X") return add_stage();
    if (event_.phase == "C" && event_.counter && event_.ts) return add_counter();
    if (event_.phase == "M") {
      if (event_.name == "thread_name") trace_.threads[thread()].name = event_.new_name;
      return;
    }
    ++trace_.ignored;
  }
  void add_stage() {
    if (!event_.ts || !event_.dur) throw bad_event("a complete event without \"ts\" or \"dur\"");
    if (*event_.dur < 0) throw bad_event("an event that ends before it starts");
    make_room(trace_.events.size());
    constexpr std::string_view kSuffix = "_kernel_time";
    if (!event_.op.empty() && event_.name.ends_with(kSuffix))
      event_.name.resize(event_.name.size() - kSuffix.size());
    StageEvent stage;
    stage.start_ns = std::llround(*event_.ts * 1e3);
    stage.duration_ns = std::llround(*event_.dur * 1e3);
    stage.name = id_of(event_.name);
    stage.op = id_of(event_.op);
    stage.thread = thread();
    span(stage.start_ns, stage.start_ns + stage.duration_ns);
    trace_.events.push_back(stage);
  }
  void add_counter() {
    make_room(trace_.counters.size());
    const int64_t time = std::llround(*event_.ts * 1e3);
    span(time, time);
    trace_.counters.push_back({time, *event_.counter, id_of(event_.name)});
  }
  void make_room(size_t count) const {
    if (count >= limits_.max_events)
      throw over_limit("trace.events", fmt::format("more than {} events", limits_.max_events),
                       text_.place());
  }
  void span(int64_t start, int64_t end) {
    trace_.start_ns = has_times_ ? std::min(trace_.start_ns, start) : start;
    trace_.end_ns = has_times_ ? std::max(trace_.end_ns, end) : end;
    has_times_ = true;
  }
  uint32_t id_of(const std::string& name) {
    const auto [it, is_new] = ids_.try_emplace(name, static_cast<uint32_t>(trace_.names.size()));
    if (!is_new) return it->second;
    name_bytes_ += name.size();
    if (trace_.names.size() >= limits_.max_names || name_bytes_ > limits_.max_name_bytes)
      throw over_limit("trace.names", "more different names than any trace of a model has",
                       text_.place());
    trace_.names.push_back(name);
    return it->second;
  }
  uint32_t thread() {
    const auto [it, is_new] = threads_.try_emplace({event_.pid, event_.tid},
                                                   static_cast<uint32_t>(trace_.threads.size()));
    if (!is_new) return it->second;
    if (trace_.threads.size() >= limits_.max_threads)
      throw over_limit("trace.threads", fmt::format("more than {} threads", limits_.max_threads),
                       text_.place());
    trace_.threads.push_back({event_.pid, event_.tid, {}});
    return it->second;
  }

  const TraceText& text_;
  const TraceFileLimits& limits_;
  TraceFile trace_;
  std::vector<Place> stack_;
  std::string key_;
  RawEvent event_;
  std::unordered_map<std::string, uint32_t> ids_;
  std::map<std::pair<int64_t, int64_t>, uint32_t> threads_;
  size_t name_bytes_ = 0;
  bool found_events_ = false;
  bool has_times_ = false;
};

}  // namespace

TraceFile read_trace(const std::string& path, const TraceFileLimits& limits) {
  TraceText text(path, limits.max_bytes);
  TraceBuilder builder(text, limits);
  json::sax_parse(TraceTextIterator(&text), TraceTextIterator(), &builder);
  return builder.take();
}

}  // namespace lathe
