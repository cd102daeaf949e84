#include "commands/bench/trace.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

#include "export_report.h"
#include "ir/error.h"
#include "os/check_output.h"
#include "os/sha256.h"
#include "os/signals.h"
#include "report/fields.h"
#include "tracing/trace.h"
#include "tracing/trace_runs.h"
#include "tracing/trace_write.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr double kMuchOverhead = 1.1;
// Of TraceOptions::max_events, what runs may take: the rest is for phases and memory.
constexpr size_t kRunEvents = 90'000;

// A phase as ONNX Runtime's summarisers call it, or by its own name.
TraceLabel phase_label(Trace& trace, const std::string& name) {
  const bool is_session = name == kTraceLoad || name == kTracePrepare;
  return trace.label(is_session ? kTraceSession : kTracePhase, name);
}

std::vector<PhaseTime> all_phases(const BenchRun& run) {
  std::vector<PhaseTime> phases = run.candidate.phases;
  phases.insert(phases.end(), run.phases.begin(), run.phases.end());
  return phases;
}

TraceRunsOptions runs_options(const Graph& graph) {
  TraceRunsOptions options;
  // A run and the memory before and after it are events, too.
  const size_t of_a_run = graph.order().size() + 3;
  options.max_runs = std::clamp<size_t>(kRunEvents / of_a_run, 1, options.max_runs);
  return options;
}

void add_memory(const TraceThread& thread, BenchTrace& result) {
  for (size_t i = 0; i < thread.size(); ++i) {
    const TraceEvent& event = thread.event(i);
    if (!event.is_counter) continue;
    const int64_t bytes = event.duration_ns;
    result.min_resident = std::min(result.min_resident.value_or(bytes), bytes);
    result.max_resident = std::max(result.max_resident.value_or(bytes), bytes);
  }
}

void warn_of(const BenchTrace& trace, Console& console) {
  if (!trace.runs.reason.empty())
    console.warn("trace.no_nodes", trace.runs.reason + ": the trace shows whole runs",
                 "--engine interpreter tells them");
  if (trace.runs.overhead_ratio > kMuchOverhead)
    console.warn("trace.overhead",
                 fmt::format("tracing made a run {:.3g} times as slow: its times are not those of "
                             "an untraced run",
                             trace.runs.overhead_ratio),
                 "the reported latencies were measured without tracing");
  if (trace.dropped > 0)
    console.warn("trace.dropped",
                 fmt::format("{} events found no room in the trace", trace.dropped));
}

}  // namespace

void check_trace(const BenchOptions& options, const std::vector<BenchCase>& cases,
                 const std::vector<std::string>& inputs) {
  if (options.trace.empty()) return;
  if (cases.size() > 1)
    throw bad_usage("usage.trace", fmt::format("a trace shows one case, not {}", cases.size()),
                    "--trace", "trace the case of interest alone");
  if (!options.resume.empty())
    throw bad_usage("usage.trace", "a case that is taken from a file leaves no trace", "--trace",
                    "leave out --resume");
  check_output(options.trace, options.common.force, inputs);
  std::vector<std::string> others{options.common.report};
  for (const ExportRequest& request : export_requests(options.common))
    others.push_back(request.path);
  for (const std::string& other : others)
    if (!other.empty() && other != "-" && same_file(options.trace, other))
      throw bad_usage("output.twice", "--trace and another output name the same file",
                      escape_untrusted(other), "give them different names");
}

void trace_case(const BenchOptions& options, Console& console, BenchRun& run, Report& report) {
  const std::vector<PhaseTime> phases = all_phases(run);
  TraceOptions trace_options;
  if (!phases.empty()) trace_options.start_ns = phases.front().start_ns;
  Trace trace(trace_options);
  TraceThread& thread = trace.thread("main");
  for (const PhaseTime& phase : phases)
    thread.record(phase_label(trace, phase.name), phase.start_ns, phase.duration_ns);
  Progress& progress = console.progress();
  progress.start("tracing", 0, "");
  progress.pause();
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  BenchTrace result;
  const BenchSubject& subject = run.candidate;
  try {
    result.runs = trace_runs(*subject.engine, subject.graph(), subject.input_shapes, trace, thread,
                             runs_options(subject.graph()), conduct);
  } catch (const Error& error) {
    throw error.within(subject.path);
  }
  progress.resume();
  progress.finish();
  if (interrupted()) return;
  result.file = std::filesystem::path(options.trace).filename().string();
  result.events = trace.size();
  result.dropped = trace.dropped();
  add_memory(thread, result);
  publish_trace(trace,
                {"lathe bench",
                 {{"model", subject.facts.path_basename},
                  {"model_sha256", subject.facts.sha256},
                  {"engine", std::string(subject.engine->name())},
                  {"threads", std::to_string(run.threads)},
                  {"version", report.tool.version}}},
                options.trace, options.common.force, trace_form_of(options.trace));
  report.artifacts.push_back({"trace", options.trace, sha256_file(options.trace),
                              static_cast<int64_t>(std::filesystem::file_size(options.trace))});
  warn_of(result, console);
  run.trace = std::move(result);
}

json trace_json(const BenchTrace& trace) {
  json out{{"file", escape_untrusted(trace.file)},
           {"runs", trace.runs.runs},
           {"events", trace.events},
           {"dropped_events", trace.dropped},
           {"nodes", trace.runs.reason.empty()}};
  if (!trace.runs.reason.empty()) out["nodes_reason"] = trace.runs.reason;
  const double overhead = trace.runs.overhead_ratio;
  put_or_reason(out, "overhead_ratio", overhead > 0 ? std::optional(overhead) : std::nullopt,
                "a run took no measurable time");
  put_or_reason(out, "resident_min_bytes", trace.min_resident, "the system does not tell");
  put_or_reason(out, "resident_max_bytes", trace.max_resident, "the system does not tell");
  return out;
}

std::string trace_text(const json& row) {
  const json& trace = field(row, "trace");
  if (!trace.is_object()) return {};
  std::string text = fmt::format("  trace: {}, {} events of {} runs", text_field(trace, "file"),
                                 text_field(trace, "events"), text_field(trace, "runs"));
  if (const auto overhead = number_field(trace, "overhead_ratio"))
    text += fmt::format(", tracing made a run {:.3g} times as slow", *overhead);
  return text + "; lathe trace shows it\n";
}

}  // namespace lathe
