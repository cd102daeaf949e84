#include "tracing/trace.h"

#include <nlohmann/json.hpp>

namespace lathe {
std::string trace_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
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
