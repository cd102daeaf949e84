// lathe trace: where the time of a traced run went.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "command_run.h"
#include "commands.h"
#include "commands/trace/read_trace.h"
#include "commands/trace/summarize_trace.h"
#include "commands/trace/trace_page.h"
#include "commands/trace/trace_rows.h"
#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using nlohmann::json;

TraceFilter filter_of(const TraceOptionsCli& options) {
  TraceFilter filter;
  if (!options.name.empty()) filter.name.emplace(options.name);
  filter.thread = options.thread;
  if (!options.from.empty()) filter.from_ns = parse_nanoseconds(options.from, "--from");
  if (!options.to.empty()) filter.to_ns = parse_nanoseconds(options.to, "--to");
  if (filter.from_ns > filter.to_ns)
    throw bad_usage("usage.window", "--from lies behind --to", "--from");
  return filter;
}

// A filter that nothing passes is a mistake worth telling.
void require_events(const TraceFile& trace, const TraceSummary& summary,
                    const TraceOptionsCli& options) {
  if (trace.events.empty())
    throw bad_input("trace.empty", "the trace holds no complete event", options.file);
  if (!summary.events.empty()) return;
  std::string hint;
  if (options.thread) {
    hint = "threads:";
    for (size_t i = 0; i < std::min<size_t>(trace.threads.size(), 8); ++i)
      hint += fmt::format(" {}", trace.threads[i].tid);
  }
  throw bad_usage("trace.no_match", "no event passes --name, --thread, --from and --to", {}, hint);
}

json stages_json(const TraceFile& trace, const std::vector<StageTime>& stages, size_t top) {
  json out = json::array();
  for (size_t i = 0; i < std::min(top, stages.size()); ++i) {
    const StageTime& stage = stages[i];
    json row = {{"calls", stage.calls},
                {"total_ns", stage.total_ns},
                {"self_ns", stage.self_ns},
                {"median_ns", stage.median_ns},
                {"share", stage.share}};
    if (stage.name != 0) row["name"] = escape_untrusted(trace.names[stage.name]);
    if (stage.op != 0) row["type"] = escape_untrusted(trace.names[stage.op]);
    out.push_back(std::move(row));
  }
  return out;
}

json trace_json(const TraceFile& trace, const TraceSummary& summary, size_t top) {
  json threads = json::array();
  for (const ThreadTime& thread : summary.threads) {
    const TraceThreadName& facts = trace.threads[thread.thread];
    threads.push_back({{"pid", facts.pid},
                       {"tid", facts.tid},
                       {"name", escape_untrusted(facts.name)},
                       {"events", thread.events},
                       {"busy_ns", thread.busy_ns},
                       {"share", thread.share}});
  }
  json counters = json::object();
  for (const CounterEvent& event : trace.counters) {
    json& row = counters[escape_untrusted(trace.names[event.name])];
    if (row.is_null()) row = {{"min", event.value}, {"max", event.value}};
    row["min"] = std::min(row["min"].get<double>(), event.value);
    row["max"] = std::max(row["max"].get<double>(), event.value);
    row["last"] = event.value;
  }
  return {{"events", summary.events.size()},
          {"events_of_file", trace.events.size()},
          {"ignored_events", trace.ignored},
          {"dropped_events", trace.dropped},
          {"window_ns", summary.window_ns},
          {"duration_ns", trace.end_ns - trace.start_ns},
          {"stages", stages_json(trace, summary.stages, top)},
          {"ops", stages_json(trace, summary.ops, top)},
          {"threads", std::move(threads)},
          {"counters", std::move(counters)}};
}

TableRows headed(TableRows rows, const Console& console) {
  for (std::string& cell : rows.front()) cell = console.bold(cell);
  return rows;
}

std::string trace_screen(const TraceFile& trace, const TraceSummary& summary,
                         const TraceOptionsCli& options, const Console& console) {
  const auto top = static_cast<size_t>(options.top);
  const StageTime& slowest = summary.stages.front();
  const std::string_view name = trace.names[slowest.name];
  std::string text =
      fmt::format("{}: {} events in {}; slowest: {}, {} ({:.0f} %)\n",
                  escape_untrusted(std::filesystem::path(options.file).filename().string()),
                  summary.events.size(), duration_text(static_cast<double>(summary.window_ns)),
                  console.bold(escape_untrusted(name, 60)), duration_text(slowest.self_ns),
                  slowest.share * 100);
  text += table(headed(stage_rows(trace, summary, top), console));
  if (summary.stages.size() > top)
    text += console.dim(
        fmt::format("  and {} more; --top N shows them\n", summary.stages.size() - top));
  if (!summary.ops.empty()) text += "\n" + table(headed(op_rows(trace, summary, top), console));
  if (summary.threads.size() > 1)
    text += "\n" + table(headed(thread_rows(trace, summary, top), console));
  return text;
}

}  // namespace

int run_trace(const TraceOptionsCli& options, Console& console) {
  const CommonOptions& common = options.common;
  CommandRun run = begin_run("trace", common, console);
  const TraceFilter filter = filter_of(options);
  check_files(common, {options.html}, {options.file});
  const TraceFile trace = read_trace(options.file);
  const TraceSummary summary = summarize_trace(trace, filter);
  require_events(trace, summary, options);
  if (trace.dropped > 0)
    console.warn("trace.dropped",
                 fmt::format("{} events found no room when the trace was recorded", trace.dropped),
                 "trace fewer iterations");
  const auto top = static_cast<size_t>(options.top);
  if (!options.html.empty() && !common.dry_run) {
    const std::string page =
        trace_page(trace, summary,
                   escape_untrusted(std::filesystem::path(options.file).filename().string()), top);
    publish_artifact(run, "html", options.html, page, common.force);
  }
  run.report.details["trace"] = trace_json(trace, summary, top);
  return finish_run(run, trace_screen(trace, summary, options, console));
}

}  // namespace lathe
