// A trace as one page that needs no network: a timeline to zoom into, and the slowest stages.
#pragma once

#include <string>

#include "commands/trace/read_trace.h"
#include "commands/trace/summarize_trace.h"

namespace lathe {

/// Events that the timeline shows at most; of more, the longest.
constexpr size_t kMaxPageEvents = 200'000;

/// `title` is the file's name; names from the trace cannot become HTML or script. `top` rows are in
/// each table. The page works without script as far as its tables.
std::string trace_page(const TraceFile& trace, const TraceSummary& summary,
                       const std::string& title, size_t top);

}  // namespace lathe
