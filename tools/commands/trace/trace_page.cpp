#include "commands/trace/trace_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "commands/trace/trace_page_parts.h"
#include "commands/trace/trace_rows.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using nlohmann::json;

// The page's lanes are 20 pixels each; deeper ones fall together.
constexpr uint32_t kMaxLanes = 64;
constexpr size_t kMaxCounters = 8;

std::string html(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (byte == '&')
      out += "&amp;";
    else if (byte == '<')
      out += "&lt;";
    else if (byte == '>')
      out += "&gt;";
    else if (byte == '"')
      out += "&quot;";
    else
      out += byte;
  }
  return out;
}

std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"wide\"><table>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    out += "<tr>";
    for (const std::string& cell : rows[i])
      out += fmt::format("<{0}>{1}</{0}>", i == 0 ? "th" : "td", html(cell));
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

// JSON that cannot end the script element that it stands in.
std::string script_json(const json& value) {
  std::string out;
  for (const char byte : value.dump(-1, ' ', false, json::error_handler_t::replace)) {
    if (byte == '<')
      out += "\\u003c";
    else
      out += byte;
  }
  return out;
}

}  // namespace

std::string trace_page(const TraceFile& trace, const TraceSummary& summary,
                       const std::string& title, size_t top) {
  std::string facts = fmt::format("{} events in {}", summary.events.size(),
                                  duration_text(static_cast<double>(summary.window_ns)));
  if (summary.events.size() > kMaxPageEvents)
    facts += fmt::format("; the timeline shows the {} longest", kMaxPageEvents);
  if (trace.dropped > 0) facts += fmt::format("; {} more found no room", trace.dropped);
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n";
  page += "<title>" + html(title) + "</title>\n<style>" + std::string(trace_page_style()) +
          "</style>\n</head>\n<body>\n<h1>" + html(title) + "</h1>\n<p>" + html(facts) + "</p>\n";
  page +=
      "<div class=\"bar\"><input id=\"find\" type=\"search\" placeholder=\"Find a stage "
      "(Enter: next)\" aria-label=\"Find a stage\"><button id=\"in\" aria-label=\"Zoom "
      "in\">+</button><button id=\"out\" aria-label=\"Zoom out\">−</button><button "
      "id=\"all\">All</button></div>\n<div id=\"box\"><canvas id=\"timeline\" tabindex=\"0\" "
      "role=\"img\" aria-label=\"Timeline; the tables below hold its numbers\"></canvas></div>\n"
      "<div id=\"detail\" aria-live=\"polite\">Drag to move, wheel or pinch to zoom, tap a "
      "stage for its times.</div>\n";
  page += "<h2>Slowest stages</h2>\n" + html_table(stage_rows(trace, summary, top));
  if (!summary.ops.empty())
    page += "<h2>By op type</h2>\n" + html_table(op_rows(trace, summary, top));
  page += "<h2>Threads</h2>\n" + html_table(thread_rows(trace, summary, top));
  page += "<script type=\"application/json\" id=\"data\">" +
          script_json(page_data(trace, summary)) + "</script>\n<script>" +
          std::string(trace_page_script()) + "</script>\n</body>\n</html>\n";
  return page;
}

}  // namespace lathe
