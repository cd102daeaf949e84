#include "commands/trace/trace_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

std::string share_text(double share) { return fmt::format("{:.1f} %", share * 100); }

}  // namespace

std::string thread_text(const TraceThreadName& thread) {
  return thread.name.empty()
             ? fmt::format("thread {}", thread.tid)
             : fmt::format("{} ({})", escape_untrusted(thread.name, 60), thread.tid);
}

TableRows stage_rows(const TraceFile& trace, const TraceSummary& summary, size_t top) {
  TableRows rows{{"stage", "share", "itself", "total", "median", "calls", "op"}};
  for (size_t i = 0; i < std::min(top, summary.stages.size()); ++i) {
    const StageTime& stage = summary.stages[i];
    rows.push_back({escape_untrusted(trace.names[stage.name], 60), share_text(stage.share),
                    duration_text(stage.self_ns), duration_text(stage.total_ns),
                    duration_text(stage.median_ns), std::to_string(stage.calls),
                    escape_untrusted(trace.names[stage.op], 40)});
  }
  return rows;
}

TableRows op_rows(const TraceFile& trace, const TraceSummary& summary, size_t top) {
  TableRows rows{{"op", "share", "total", "median", "calls"}};
  for (size_t i = 0; i < std::min(top, summary.ops.size()); ++i) {
    const StageTime& op = summary.ops[i];
    rows.push_back({escape_untrusted(trace.names[op.op], 40), share_text(op.share),
                    duration_text(op.total_ns), duration_text(op.median_ns),
                    std::to_string(op.calls)});
  }
  return rows;
}

TableRows thread_rows(const TraceFile& trace, const TraceSummary& summary, size_t top) {
  TableRows rows{{"thread", "events", "busy", "of the time"}};
  for (size_t i = 0; i < std::min(top, summary.threads.size()); ++i) {
    const ThreadTime& thread = summary.threads[i];
    rows.push_back({thread_text(trace.threads[thread.thread]), std::to_string(thread.events),
                    duration_text(thread.busy_ns), share_text(thread.share)});
  }
  return rows;
}

}  // namespace lathe
