#include "commands/trace/trace_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "commands/trace/trace_page_parts.h"
#include "commands/trace/trace_rows.h"
#include "os/quantity.h"
#include "report/html_document.h"

namespace lathe {
namespace {

using nlohmann::json;

// The page's lanes are 20 pixels each; deeper ones fall together.
constexpr uint32_t kMaxLanes = 64;
constexpr size_t kMaxCounters = 8;

std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"wide\"><table>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    out += "<tr>";
    for (const std::string& cell : rows[i])
      out += fmt::format("<{0}>{1}</{0}>", i == 0 ? "th" : "td", html_escape(cell));
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

// The longest ones, in their old order.
std::vector<const KeptEvent*> shown_events(const TraceSummary& summary) {
  std::vector<const KeptEvent*> events;
  for (const KeptEvent& event : summary.events) events.push_back(&event);
  if (events.size() <= kMaxPageEvents) return events;
  std::nth_element(
      events.begin(), events.begin() + kMaxPageEvents, events.end(),
      [](const KeptEvent* a, const KeptEvent* b) { return a->duration_ns > b->duration_ns; });
  events.resize(kMaxPageEvents);
  std::sort(events.begin(), events.end());
  return events;
}

json counters_json(const TraceFile& trace, const TraceSummary& summary) {
  std::map<uint32_t, json> counters;
  for (const CounterEvent& event : trace.counters) {
    if (!counters.contains(event.name) && counters.size() == kMaxCounters) continue;
    json& counter = counters[event.name];
    if (counter.is_null())
      counter = {
          {"name", trace.names[event.name]}, {"times", json::array()}, {"values", json::array()}};
    const int64_t time = event.time_ns - trace.start_ns;
    if (counter["times"].size() < kMaxPageEvents) {
      counter["times"].push_back(time);
      counter["values"].push_back(event.value);
    }
  }
  json out = json::array();
  if (!summary.events.empty())
    for (auto& [name, counter] : counters) out.push_back(std::move(counter));
  return out;
}

json page_data(const TraceFile& trace, const TraceSummary& summary) {
  json names = json::array({""});
  std::map<uint32_t, size_t> name_places{{0, 0}};
  const auto place_of = [&](uint32_t name) {
    const auto [it, is_new] = name_places.try_emplace(name, names.size());
    if (is_new) names.push_back(trace.names[name]);
    return it->second;
  };
  json threads = json::array();
  json depths = json::array();
  std::map<uint32_t, size_t> thread_places;
  json events = json::array();
  for (const KeptEvent* event : shown_events(summary)) {
    const auto [it, is_new] = thread_places.try_emplace(event->thread, threads.size());
    if (is_new) {
      threads.push_back(thread_text(trace.threads[event->thread]));
      depths.push_back(1);
    }
    const uint32_t lane = std::min(event->depth, kMaxLanes - 1);
    json& lanes = depths[it->second];
    lanes = std::max<uint32_t>(lanes.get<uint32_t>(), lane + 1);
    for (const auto number :
         {static_cast<int64_t>(it->second), static_cast<int64_t>(lane), event->start_ns,
          event->duration_ns, static_cast<int64_t>(event->self_ns),
          static_cast<int64_t>(place_of(event->name)), static_cast<int64_t>(place_of(event->op))})
      events.push_back(number);
  }
  return {{"names", std::move(names)},   {"threads", std::move(threads)},
          {"depths", std::move(depths)}, {"end", trace.end_ns - trace.start_ns},
          {"events", std::move(events)}, {"counters", counters_json(trace, summary)}};
}

}  // namespace

std::string trace_page(const TraceFile& trace, const TraceSummary& summary,
                       const std::string& title, size_t top) {
  std::string facts = fmt::format("{} events in {}", summary.events.size(),
                                  duration_text(static_cast<double>(summary.window_ns)));
  if (summary.events.size() > kMaxPageEvents)
    facts += fmt::format("; the timeline shows the {} longest", kMaxPageEvents);
  if (trace.dropped > 0) facts += fmt::format("; {} more found no room", trace.dropped);
  std::string body = "<h1>" + html_escape(title) + "</h1>\n<p>" + html_escape(facts) + "</p>\n";
  body +=
      "<div class=\"bar\"><input id=\"find\" type=\"search\" placeholder=\"Find a stage "
      "(Enter: next)\" aria-label=\"Find a stage\"><button id=\"in\" aria-label=\"Zoom "
      "in\">+</button><button id=\"out\" aria-label=\"Zoom out\">−</button><button "
      "id=\"all\">All</button></div>\n<div id=\"box\"><canvas id=\"timeline\" tabindex=\"0\" "
      "role=\"img\" aria-label=\"Timeline; the tables below hold its numbers\"></canvas></div>\n"
      "<div id=\"detail\" aria-live=\"polite\">Drag to move, wheel or pinch to zoom, tap a "
      "stage for its times.</div>\n";
  body += "<h2>Slowest stages</h2>\n" + html_table(stage_rows(trace, summary, top));
  if (!summary.ops.empty())
    body += "<h2>By op type</h2>\n" + html_table(op_rows(trace, summary, top));
  body += "<h2>Threads</h2>\n" + html_table(thread_rows(trace, summary, top));
  const json data = page_data(trace, summary);
  return html_document({title, std::move(body), &data, trace_page_style(), trace_page_script()});
}

}  // namespace lathe
