// Tables of a trace, for the screen and for the page; the first row is the heading. Names are
// escaped for a terminal.
#pragma once

#include <string>
#include <vector>

#include "commands/trace/read_trace.h"
#include "commands/trace/summarize_trace.h"

namespace lathe {

using TableRows = std::vector<std::vector<std::string>>;

/// "main", "thread 7".
std::string thread_text(const TraceThreadName& thread);

TableRows stage_rows(const TraceFile& trace, const TraceSummary& summary, size_t top);
TableRows op_rows(const TraceFile& trace, const TraceSummary& summary, size_t top);
TableRows thread_rows(const TraceFile& trace, const TraceSummary& summary, size_t top);

}  // namespace lathe
