#include "tracing/trace.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text`; 0 when there is none.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  size_t length = 0;
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) length = 2;
  if (first >= 0xE0 && first < 0xF0) length = 3;
  if (first >= 0xF0 && first < 0xF5) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  // Overlong forms, surrogates and what lies above U+10FFFF.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

}  // namespace

std::string trace_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    const char first = text[0];
    if (length == 0)
      out += "\\ufffd";
    else if (first == '"' || first == '\\')
      out += {'\\', first};
    else if (static_cast<unsigned char>(first) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(first));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(1, length));
  }
  return out + "\"";
}

std::string trace_args(const std::vector<std::pair<std::string, std::string>>& args) {
  std::string out = "{";
  for (const auto& [key, value] : args) {
    if (out.size() > 1) out += ",";
    out += trace_string(key) + ":" + trace_string(value);
  }
  return out + "}";
}

Trace::Trace(TraceOptions options)
    : options_(options), start_ns_(options.start_ns != 0 ? options.start_ns : options.clock()) {}

TraceThread& Trace::thread(std::string name) {
  const std::lock_guard lock(mutex_);
  return threads_.emplace_back(std::move(name), options_.max_events, options_.clock);
}

TraceLabel Trace::label(std::string_view category, std::string_view name, std::string args) {
  const std::lock_guard lock(mutex_);
  labels_.push_back({std::string(category), std::string(name), std::move(args)});
  return {static_cast<uint32_t>(labels_.size() - 1)};
}

TraceLabel Trace::counter(std::string_view name, std::string_view unit) {
  return label("Counter", name, std::string(unit));
}

size_t Trace::dropped() const {
  size_t sum = 0;
  for (const TraceThread& thread : threads_) sum += thread.dropped();
  return sum;
}

size_t Trace::size() const {
  size_t sum = 0;
  for (const TraceThread& thread : threads_) sum += thread.size();
  return sum;
}

}  // namespace lathe
