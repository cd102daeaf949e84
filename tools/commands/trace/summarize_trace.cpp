#include "commands/trace/summarize_trace.h"

#include <algorithm>
#include <map>
#include <utility>

namespace lathe {
namespace {

std::vector<KeptEvent> events_in_window(const TraceFile& trace, const TraceFilter& filter) {
  std::vector<KeptEvent> events;
  events.reserve(trace.events.size());
  for (const StageEvent& event : trace.events) {
    if (filter.thread && trace.threads[event.thread].tid != *filter.thread) continue;
    const int64_t start = event.start_ns - trace.start_ns;
    const int64_t end = start + event.duration_ns;
    if (end < filter.from_ns || start > filter.to_ns) continue;
    const int64_t from = std::max(start, filter.from_ns);
    events.push_back(
        {from, std::min(end, filter.to_ns) - from, 0, event.name, event.op, event.thread, 0});
  }
  std::stable_sort(events.begin(), events.end(), [](const KeptEvent& a, const KeptEvent& b) {
    if (a.thread != b.thread) return a.thread < b.thread;
    if (a.start_ns != b.start_ns) return a.start_ns < b.start_ns;
    return a.duration_ns > b.duration_ns;
  });
  return events;
}

// A stage that begins inside of another one lies in it; what reaches over its end (microseconds
// were rounded) counts up to there.
void find_self_times(std::vector<KeptEvent>& events) {
  std::vector<size_t> open;
  for (size_t i = 0; i < events.size(); ++i) {
    KeptEvent& event = events[i];
    const auto end_of = [&](size_t k) { return events[k].start_ns + events[k].duration_ns; };
    while (!open.empty() &&
           (events[open.back()].thread != event.thread || end_of(open.back()) <= event.start_ns))
      open.pop_back();
    event.self_ns = static_cast<double>(event.duration_ns);
    event.depth = static_cast<uint32_t>(open.size());
    if (!open.empty()) {
      const int64_t inside =
          std::min(end_of(open.back()), event.start_ns + event.duration_ns) - event.start_ns;
      events[open.back()].self_ns -= static_cast<double>(inside);
    }
    open.push_back(i);
  }
  for (KeptEvent& event : events) event.self_ns = std::max(0.0, event.self_ns);
}

struct Group {
  StageTime time;
  std::vector<int64_t> durations;
};

double median_of(std::vector<int64_t>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  const auto upper = static_cast<double>(*middle);
  if (values.size() % 2 == 1) return upper;
  return (upper + static_cast<double>(*std::max_element(values.begin(), middle))) / 2;
}

std::vector<StageTime> grouped(const std::vector<KeptEvent>& events, bool by_name, double whole) {
  std::map<std::pair<uint32_t, uint32_t>, Group> groups;
  for (const KeptEvent& event : events) {
    if (!by_name && event.op == 0) continue;
    Group& group = groups[{by_name ? event.name : 0, event.op}];
    ++group.time.calls;
    group.time.total_ns += static_cast<double>(event.duration_ns);
    group.time.self_ns += event.self_ns;
    group.durations.push_back(event.duration_ns);
  }
  std::vector<StageTime> out;
  for (auto& [key, group] : groups) {
    group.time.name = key.first;
    group.time.op = key.second;
    group.time.median_ns = median_of(group.durations);
    group.time.share = whole > 0 ? group.time.self_ns / whole : 0;
    out.push_back(group.time);
  }
  std::stable_sort(out.begin(), out.end(), [&](const StageTime& a, const StageTime& b) {
    return by_name ? a.self_ns > b.self_ns : a.total_ns > b.total_ns;
  });
  return out;
}

}  // namespace

TraceSummary summarize_trace(const TraceFile& trace, const TraceFilter& filter) {
  TraceSummary summary;
  std::vector<KeptEvent> events = events_in_window(trace, filter);
  find_self_times(events);
  const int64_t end = std::min(filter.to_ns, trace.end_ns - trace.start_ns);
  summary.window_ns = std::max<int64_t>(0, end - filter.from_ns);
  double whole = 0;
  for (const KeptEvent& event : events) whole += event.self_ns;
  for (const KeptEvent& event : events) {
    if (summary.threads.empty() || summary.threads.back().thread != event.thread)
      summary.threads.push_back({event.thread, 0, 0, 0});
    ThreadTime& thread = summary.threads.back();
    ++thread.events;
    thread.busy_ns += event.self_ns;
  }
  for (ThreadTime& thread : summary.threads)
    thread.share =
        summary.window_ns > 0 ? thread.busy_ns / static_cast<double>(summary.window_ns) : 0;
  if (filter.name)
    std::erase_if(events, [&](const KeptEvent& event) {
      return !filter.name->matches(trace.names[event.name], trace.names[event.op]);
    });
  summary.stages = grouped(events, true, whole);
  summary.ops = grouped(events, false, whole);
  summary.events = std::move(events);
  return summary;
}

}  // namespace lathe
